"""The unit tests of what was changed since the main branch: `python -m tests.changed` prints their paths for pytest,
`python -m tests.changed --types` the changed files themselves, for the type checker.

It is for seconds while one works. What a change breaks elsewhere, `make test` finds.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

CHECKOUT = Path(__file__).resolve().parents[1]
UNIT = PurePosixPath("tests/unit")
# Where nothing is changed that has unit tests: those of the kit, as pytest fails when it is given no test.
_NOTHING = UNIT / "kit"
# The first prefix that fits counts. What is generated has no unit tests of its own.
_TESTED_BY: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("services/router/headrace_router/control", ("router_control",)),
    ("services/router/headrace_router/data", ("router_data",)),
    ("services/router", ("router_control", "router_data")),
    ("deploy/envoy", ("front_door",)),
    ("deploy", ("deploy",)),
    ("libs/stubs", ()),
    # The front door is made from the descriptors; the documents name what is in the protos.
    ("protos", ("docs", "front_door")),
    ("docs", ("docs",)),
    ("examples", ("examples",)),
    ("benchmarks", ("benchmarks",)),
    ("tests/kit", ("kit",)),
    ("tests/changed.py", ("kit",)),
)


def unit_tests_of(path: PurePosixPath) -> list[PurePosixPath]:
    """Return the unit tests of one file: folders, or the file itself where it is a test."""
    if path.parts[:2] in (("tests", "unit"), ("tests", "contract")):
        return [path if path.name.startswith("test_") else path.parent]
    for prefix, folders in _TESTED_BY:
        if path.is_relative_to(prefix):
            return [UNIT / folder for folder in folders]
    if path.parts[0] in ("services", "libs") and len(path.parts) > 1:
        return [UNIT / path.parts[1]]
    if len(path.parts) > 1:
        return []
    if path.name.startswith("docker-compose"):
        return [UNIT / "deploy"]
    return [UNIT / "docs"] if path.suffix == ".md" else []


def selection(changed: Iterable[str], exists: Callable[[PurePosixPath], bool]) -> list[str]:
    """Return what pytest is to be given, in order, without what another of them holds."""
    found = {test for path in changed for test in unit_tests_of(PurePosixPath(path)) if exists(test)} or {_NOTHING}
    return sorted(str(test) for test in found if found.isdisjoint(test.parents))


def changed_files(checkout: Path) -> list[str]:
    """Return every file that differs from where this branch left main, and those that git does not know yet."""

    def git(*arguments: str) -> list[str]:
        command = ("git", "-C", str(checkout), *arguments)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")

    def known(branch: str) -> bool:
        command = ("git", "-C", str(checkout), "rev-parse", "--quiet", "--verify", f"{branch}^{{commit}}")
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    main = next((branch for branch in ("origin/main", "main") if known(branch)), "HEAD")
    since = git("merge-base", "HEAD", main)[0].strip()
    differing = git("diff", "--name-only", "--no-renames", "-z", since)
    return [path for path in [*differing, *git("ls-files", "--others", "--exclude-standard", "-z")] if path]


if __name__ == "__main__":
    there = [path for path in changed_files(CHECKOUT) if (CHECKOUT / path).exists()]
    if sys.argv[1:] == ["--types"]:
        chosen = [path for path in there if path.endswith(".py")]
    else:
        chosen = selection(there, lambda path: (CHECKOUT / path).exists())
    sys.stdout.write(" ".join(chosen) + "\n")
