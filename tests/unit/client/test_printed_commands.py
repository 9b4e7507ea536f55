"""Every command that code prints for somebody to type is one of the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click

from tests.kit.clients import typed_commands

ROOT = Path(__file__).parents[3]
TYPED = re.compile(r"`(headrace [a-z][^`|]*)`")


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module with their lines; what is put into one when it runs is `X`."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def test_every_command_that_code_prints_is_one_of_the_command_line():
    wrong, count = list[str](), 0
    for base in ("services", "libs"):
        for file in sorted((ROOT / base).rglob("*.py")):
            source = file.read_text()
            if "`headrace " not in source:
                continue
            for line, text in texts(ast.parse(source)):
                for command in TYPED.findall(text):
                    count += 1
                    try:
                        typed_commands.check(" ".join(command.split()), whole=False)
                    except (click.UsageError, ValueError) as error:
                        wrong.append(f"{file.relative_to(ROOT)}:{line}: {command}: {error}")
    assert count > 200
    assert not wrong, "\n".join(wrong)
