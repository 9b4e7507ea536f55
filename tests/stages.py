"""`make test` and `make test-all`: parts that run one after the other, each with its own summary and its time.

python -m tests.stages test                 what must pass before a change lands, and what CI runs
python -m tests.stages all                  that, then everything that takes longer or kills something
python -m tests.stages all --continue       without the parts that passed already, as long as no file has changed
python -m tests.stages test unit e2e        these parts alone
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(".headrace/results")
_STATE = RESULTS / "parts.json"
_BIN = Path(sys.executable).parent
_OTHERS = "not soak and not compose and not recipes"


@dataclass(frozen=True, slots=True)
class Part:
    """A command. again: asks what failed once more, with nothing beside it, and names it. beside: another that runs
    meanwhile, on the core that waits. ends: its failure ends the run, for what comes after could only say the same less
    clearly."""

    name: str
    command: tuple[str, ...]
    again: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    ends: bool = True


def pytest_part(name: str, *arguments: str, workers: str = "", beside: tuple[str, ...] = (), ends: bool = True) -> Part:
    """Return a part that runs tests, and leaves their durations in `RESULTS/NAME.xml`."""
    asked = (str(_BIN / "pytest"), "-q", "-o", f"cache_dir={RESULTS / 'cache' / name}", *arguments)
    kept = ("-p", "tests.durations.recorder", f"--junitxml={RESULTS / name}.xml", "--durations=15", "--durations-min=5")
    shared = ("-n", os.environ.get("TEST_WORKERS") or workers or _WORKERS, "--dist", "worksteal")
    return Part(name, (*asked, *kept, *shared), (*asked, "-n", "0", *_AGAIN), beside, ends)


def _make(target: str) -> tuple[str, ...]:
    return ("make", "--no-print-directory", target)


def parts() -> dict[str, tuple[Part, ...]]:
    """Return the parts of each command, in order."""
    test = (
        Part("lint", _make("lint")),
        pytest_part("unit", "-m", f"not real and not long and not faults and {_OTHERS}", *_UNIT, beside=_make("types")),
        pytest_part(
            *("integration", "-m", f"not in_memory and not long and not faults and {_OTHERS}", *_INTEGRATION),
            workers=_OF_INTEGRATION,
        ),
        pytest_part("e2e", "tests/e2e"),
    )
    more = (
        pytest_part("faults", "-m", f"faults and not long and {_OTHERS}", "tests", ends=False),
        pytest_part("long", "-m", f"long and {_OTHERS}", "tests", ends=False),
        pytest_part("statistics", "-m", _OTHERS, "tests/statistics", ends=False),
        pytest_part("recipes", "-m", "recipes", *_RECIPE, workers="0", ends=False),
    )
    return {"test": test, "all": test + more}


# Of two cores: most of what integration and end-to-end tests do is to wait; a stack beside them takes a core itself.
_WORKERS, _OF_INTEGRATION = "3", "4"
# What fails in many places at once has failed: it is not asked one by one.
_AGAIN = ("--last-failed", "--last-failed-no-failures", "none", "--maxfail", "3", "-rA", "--tb=short")
_UNIT = ("tests/unit", "tests/contract")
_INTEGRATION = ("tests/integration", "tests/contract")
# The smallest recipe: a framework of some 40 MB.
_RECIPE = ("tests/recipes/test_recipes.py", "-k", "scikit-learn")


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.stages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=tuple(parts()))
    parser.add_argument("parts", nargs="*", metavar="PART", help="run these alone")
    parser.add_argument("--continue", dest="goes_on", action="store_true", help="leave out the parts that passed")
    asked = parser.parse_args()
    known = parts()[asked.command]
    if strange := set(asked.parts) - {part.name for part in known}:
        parser.error(f"{', '.join(sorted(strange))}: known are {', '.join(part.name for part in known)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    revision = _revision()
    passed = _passed(revision) if asked.goes_on else {}
    rows: list[tuple[str, str, float]] = []
    for part in known:
        if asked.parts and part.name not in asked.parts:
            continue
        if part.name in passed:
            rows.append((part.name, "passed before", passed[part.name]))
            continue
        began = time.monotonic()
        failed = _run(part)
        rows.append((part.name, "failed" if failed else "passed", time.monotonic() - began))
        if not failed:
            passed = {**passed, part.name: rows[-1][2]}
            _STATE.write_text(json.dumps({"revision": revision, "passed": passed}))
        if failed and part.ends:
            break
    sys.stdout.write(table(rows))
    return 1 if any(outcome == "failed" for _, outcome, _ in rows) else 0


def table(rows: Sequence[tuple[str, str, float]]) -> str:
    """Return a line for each part: its name, what became of it, minutes and seconds."""
    lines = [*rows, ("all parts", "", sum(seconds for _, _, seconds in rows))]
    return "".join(
        f"{name:<14} {outcome:<14} {round(seconds) // 60:>2}:{round(seconds) % 60:02}\n"
        for name, outcome, seconds in lines
    )


def _run(part: Part) -> bool:
    """Run a part and return whether something of it failed. What runs beside it is printed when both have ended."""
    sys.stdout.write(f"\n== {part.name}\n")
    sys.stdout.flush()
    with tempfile.TemporaryFile("w+") as output:
        beside = (
            subprocess.Popen(part.beside, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            if part.beside
            else None
        )
        # 1: tests failed. Anything else (nothing was collected, an interrupt) is no luck of a test's.
        failed = (code := subprocess.call(part.command)) != 0
        if code == 1 and part.again:
            sys.stdout.write("what failed is asked once more, with nothing beside it:\n")
            sys.stdout.flush()
            failed = subprocess.call(part.again) != 0
        if beside is not None:
            failed = beside.wait() != 0 or failed
            output.seek(0)
            sys.stdout.write(output.read())
    return failed


def _revision() -> str:
    """Name what is tested: the commit, and what differs from it."""
    head = subprocess.run(("git", "rev-parse", "HEAD"), capture_output=True, text=True, check=True).stdout.strip()
    difference = subprocess.run(("git", "diff", "HEAD"), capture_output=True, check=True).stdout
    return f"{head}-{hashlib.sha256(difference).hexdigest()[:12]}"


def _passed(revision: str) -> Mapping[str, float]:
    """Return the seconds of the parts that passed at this revision."""
    if not _STATE.is_file():
        return {}
    state = json.loads(_STATE.read_text())
    return state["passed"] if state["revision"] == revision else {}


if __name__ == "__main__":
    sys.exit(main())
