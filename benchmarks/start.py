"""What a start of the whole stack takes: time of a processor by component, and the time until all is ready.

`python -m benchmarks.start`. It starts a stack of its own, twice: the first start compiles modules, the second is told.
"""

from __future__ import annotations

import time

import psutil
from headrace_stack import snapshot
from headrace_stack.settings import StackSettings
from headrace_stack.testing import held_stack

from tests.kit.stores.servers import home_for_tests

STARTS = 2


def cpu_s(pid: int, *, alone: bool = False) -> float:
    """Return what a process, its children, and those that they have waited for have used of a processor."""
    process = psutil.Process(pid)
    family = [process] if alone else [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[: 2 if alone else 4]) for one in family)


def told(settings: StackSettings) -> dict[str, float]:
    seen = snapshot.read(settings.snapshot)
    assert seen is not None
    parts = {one.name: cpu_s(one.process.pid) for one in seen.components if one.process is not None}
    return {"supervisor": cpu_s(seen.supervisor.pid, alone=True), **parts}


def main() -> None:
    parts, took_s = dict[str, float](), 0.0
    for number in range(STARTS):
        began = time.monotonic()
        with held_stack(home_for_tests(f"start-{number}")) as settings:
            took_s, parts = time.monotonic() - began, told(settings)
    for name, used_s in parts.items():
        print(f"{name:18}{used_s:6.2f} s of a processor")
    print(f"{'together':18}{sum(parts.values()):6.2f} s of a processor; all ready after {took_s:.1f} s")


if __name__ == "__main__":
    main()
