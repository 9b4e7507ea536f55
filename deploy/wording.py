"""Names and sentences are in the field's words: `python deploy/wording.py check`.

* A class is called what it is: no name says nothing to a reader who does not know the code.
* What users see (errors, help, descriptions of settings and metrics, log lines) has none of `IDIOMS`.
* Docstrings and comments have no more of them than `MOST`, by folder; `count` prints what there is. It only falls.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "deploy", "docs", "examples", "libs", "protos", "services", "tests")
# What users see comes from these.
PRODUCT = ("deploy", "libs", "services")
# Generated from the protos, whose messages have names of their own.
GENERATED = CHECKOUT / "libs" / "stubs" / "headrace"

BANNED = frozenset(
    (
        *("Arm", "Begun", "Bell", "Crowd", "Flight", "Flights", "Floor", "Found", "Kept", "Lives", "Look", "Looker"),
        *("Looks", "Name", "Rung", "Seen", "Sought", "Told"),
    )
)
IDIOMS = re.compile(
    r"\b(told|nobody|somebody|whoever|whom|anew|at hand|goes on|of late|lets? go|stands in|unasked|is none of)\b",
    re.IGNORECASE,
)
MOST: dict[str, int] = {
    "benchmarks": 1,
    "protos": 1,
    "services/router": 4,
}


def class_names(tree: ast.Module) -> Iterator[str]:
    """Yield the banned names that a module gives to classes; a leading underscore makes no difference."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name.lstrip("_") in BANNED:
            yield f"class {node.name}: name it by the field's word for what it is"


def sentences(tree: ast.Module) -> Iterator[str]:
    """Yield the idioms in what users see: string literals that are no docstrings, and the help of commands."""
    docstrings = dict(_docstrings(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or " " not in node.value:
            continue
        if docstrings.get(node) is False:
            continue
        for found in IDIOMS.findall(node.value):
            yield f"line {node.lineno}: users see '{found}': say it in the field's words"


def _docstrings(tree: ast.Module) -> Iterator[tuple[ast.Constant, bool]]:
    """Yield each docstring, those of attributes too, and whether it is the help of a command."""
    for node in ast.walk(tree):
        decorators = [ast.unparse(one) for one in getattr(node, "decorator_list", ())]
        is_command = any("command(" in one or "group(" in one for one in decorators)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                yield child.value, is_command


def idioms(source: str, tree: ast.Module) -> int:
    """Return how many idioms docstrings and comments have."""
    texts = [str(one.value) for one, _ in _docstrings(tree)]
    texts += [
        one.string for one in tokenize.generate_tokens(io.StringIO(source).readline) if one.type == tokenize.COMMENT
    ]
    return sum(len(IDIOMS.findall(text)) for text in texts)


def in_checkout() -> tuple[list[str], Counter[str]]:
    """Return what is wrong with names and sentences, and the idioms of each folder."""
    wrong, counts = [], Counter[str]()
    for folder in FOLDERS:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            if GENERATED in path.parents:
                continue
            source = path.read_text()
            tree, place = ast.parse(source), path.relative_to(CHECKOUT)
            wrong += [f"{place}: {one}" for one in class_names(tree)]
            if folder in PRODUCT and path != Path(__file__):
                wrong += [f"{place}: {one}" for one in sentences(tree)]
            if folder != "tests":
                counts["/".join(place.parts[:2]) if folder in ("libs", "services") else folder] += idioms(source, tree)
    return wrong, counts


def main() -> int:
    """Print what is wrong; return the exit code."""
    wrong, counts = in_checkout()
    for folder, count in sorted(counts.items()):
        if count > MOST.get(folder, 0):
            wrong.append(f"{folder}: {count} idioms in docstrings and comments, {MOST.get(folder, 0)} before")
    sys.stderr.writelines(f"{one}\n" for one in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["count"]:
        sys.stdout.writelines(f"{folder}: {count}\n" for folder, count in sorted(in_checkout()[1].items()))
        sys.exit(0)
    if sys.argv[1:] != ["check"]:
        sys.exit(__doc__)
    sys.exit(main())
