"""Of which types of ours one prediction makes objects: by Predict, in a data plane as inside Envoy.

What is made once for each token is left out.

python -m benchmarks.request_types
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType

import uvloop
from headrace_servicekit.logs import set_up_logs

from benchmarks.hit import Ask, answered, asking, transport_between_fakes


def main() -> None:
    """Ask, and print the types."""
    set_up_logs("benchmark", level="error", log_format="json")
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as scratch:
        uvloop.run(show(Path(scratch)))


async def show(scratch: Path) -> None:
    """Print what one request makes."""
    async with transport_between_fakes(scratch) as (transport, issuer):
        await answered(asking(transport, "predict", issuer, value=1.0))
        for kind, value in (("from memory", 1.0), ("computed", 2.0)):
            made = await made_by(asking(transport, "predict", issuer, value=value))
            print(f"{kind}: {len(made)} types, {sum(made.values())} objects")
            for name, count in sorted(made.items()):
                print(f"  {count} {name}")


async def made_by(ask: Ask) -> Counter[str]:
    """Return how many objects of each type of ours a request makes."""
    made: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        made_of = frame.f_locals.get("_cls")  # the constructor of a named tuple
        if frame.f_code.co_name == "__init__":
            made_of = type(frame.f_locals["self"])
        module = "" if made_of is None else made_of.__module__
        if made_of is not None and module.startswith("headrace_router.data.") and ".identity." not in module:
            made[f"{module.removeprefix('headrace_router.data.')}.{made_of.__qualname__}"] += 1

    sys.setprofile(note)
    try:
        refusal = await ask()
    finally:
        sys.setprofile(None)
    assert not refusal
    return made


if __name__ == "__main__":
    main()
