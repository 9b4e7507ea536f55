"""Groups of commands that parts add to, by the entry points `headrace.commands`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from headrace_client import parts


class Discovered(click.Group):
    """A group with the commands of what is installed; one of an entry point is imported when it is asked for.

    prefix: of the names of its entry points, such as `models.`.
    """

    def __init__(self, *args: Any, prefix: str = "", **named: Any) -> None:
        super().__init__(*args, **named)
        self._prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in their order."""
        return sorted({*self.commands, *_found(self._prefix)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name; None where none that is installed has it."""
        if cmd_name not in self.commands and cmd_name in _found(self._prefix):
            self.add_command(_found(self._prefix)[cmd_name].load(), cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named. One of a part that is not installed says how to add it."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if message := parts.missing(self._prefix + args[0]):
                raise click.UsageError(message, error.ctx) from None
            raise


@functools.cache
def _found(prefix: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group of commands by the names of these."""
    named = {one.name.removeprefix(prefix): one for one in _all() if one.name.startswith(prefix)}
    return {name: one for name, one in named.items() if "." not in name}


@functools.cache
def _all() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group="headrace.commands"))
