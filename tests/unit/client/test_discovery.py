"""Commands and groups of methods are those of what is installed."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import click
import pytest
from headrace_client import Client
from headrace_client.cli import main
from headrace_client.cli.discovery import Discovered
from headrace_client.groups import CORE
from headrace_client.parts import PARTS

from tests.kit.rows import each

BROUGHT = {name for names in PARTS.values() for name in names.split()}
LOADED = """
import sys
from click.testing import CliRunner
from headrace_client.cli import main
assert CliRunner().invoke(main, sys.argv[1:]).exit_code == 0
print(*(name for name in sys.modules if name.startswith("headrace_")))
"""


def test_what_parts_bring_is_what_is_said_of_them():
    commands = {one.name for one in entry_points(group="headrace.commands")}
    groups = {one.name for one in entry_points(group="headrace.client")}
    assert commands | groups >= BROUGHT
    assert groups <= BROUGHT - CORE.keys()


@each("name", sorted(BROUGHT))
def test_a_command_or_a_group_that_is_installed_is_found(name: str):
    group, _, command = name.rpartition(".")
    context = click.Context(main)
    holder = main.get_command(context, group) if group else main
    assert isinstance(holder, click.Group)
    assert holder.get_command(context, command) is not None or hasattr(Client("127.0.0.1:1"), name)


def test_a_command_is_imported_when_it_is_named():
    done = subprocess.run([sys.executable, "-c", LOADED, "cache", "--help"], capture_output=True, text=True, check=True)
    assert "headrace_client.cli.cache" in done.stdout
    assert not [name for name in done.stdout.split() if name.startswith(tuple(f"headrace_{part}" for part in PARTS))]


def test_a_command_that_nothing_has_is_refused():
    group = Discovered("some", prefix="nothing.")
    with pytest.raises(click.UsageError, match="No such command 'here'"):
        group.resolve_command(click.Context(group), ["here"])


def test_a_command_of_a_part_that_is_not_installed_says_how_to_add_it():
    class Bare(Discovered):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return None

    bare = Bare("headrace")
    with pytest.raises(click.UsageError, match=r"'rollouts' belongs to the part release: pip install 'headrace-client"):
        bare.resolve_command(click.Context(bare), ["rollouts"])
