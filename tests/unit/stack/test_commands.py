"""The commands of the stack that documents name are commands that parse."""

import re
import shlex
from pathlib import Path

import click
import pytest
from headrace_stack.cli import commands

CHECKOUT = Path(__file__).parents[3]
_NAMED = re.compile(r"`python -m headrace_stack ([^`]+)`")
NAMED = sorted(
    {
        named
        for folder in ("docs", "libs", "services")
        for page in (CHECKOUT / folder).rglob("*.md")
        for named in _NAMED.findall(page.read_text())
    }
)


def test_documents_name_some():
    assert any(named.startswith("add ") for named in NAMED)


@pytest.mark.parametrize("named", NAMED)
def test_a_command_that_a_document_names_parses(named: str):
    name, *words = shlex.split(named)
    command = commands.commands[name]
    assert isinstance(command, click.Command)
    command.make_context(
        name, [word for word in words if word not in ("…", "--help")], resilient_parsing="--help" in words
    )
