"""No class has a name that says nothing to somebody who has not read the code: `python deploy/class_names.py check`.

A class is called by the field's word for what it is. `REMAINING` lists what still has such a name; it only shrinks.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "deploy", "docs", "examples", "libs", "protos", "services", "tests")
# Generated from the protos, whose messages have names of their own.
GENERATED = CHECKOUT / "libs" / "stubs" / "headrace"

BANNED = frozenset(
    (
        *("Arm", "Begun", "Bell", "Crowd", "Flight", "Flights", "Floor", "Found", "Kept", "Lives", "Look", "Looker"),
        *("Looks", "Name", "Rung", "Seen", "Sought", "Told"),
    )
)
REMAINING: frozenset[str] = frozenset()


def banned_in(source: str) -> Iterator[str]:
    """Yield the banned names that a module gives to classes; a leading underscore makes no difference."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name.lstrip("_") in BANNED:
            yield node.name


def in_checkout() -> Iterator[str]:
    """Yield `path: class` of each class with a banned name."""
    for folder in FOLDERS:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            if GENERATED not in path.parents:
                yield from (f"{path.relative_to(CHECKOUT)}: {name}" for name in banned_in(path.read_text()))


def main() -> int:
    """Print what is wrong; return the exit code."""
    found = frozenset(in_checkout())
    for one in sorted(found - REMAINING):
        print(f"{one}: name the class by the field's word for what it is", file=sys.stderr)
    for one in sorted(REMAINING - found):
        print(f"{one}: has another name now; take it off REMAINING in deploy/class_names.py", file=sys.stderr)
    return 1 if found != REMAINING else 0


if __name__ == "__main__":
    if sys.argv[1:] != ["check"]:
        sys.exit(__doc__)
    sys.exit(main())
