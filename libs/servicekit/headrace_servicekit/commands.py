"""What operators run beside a service, with the service's settings: `python -m headrace_registry backup --out FOLDER`.

A command does one thing and prints one JSON object. `process.run(…, commands=COMMANDS)` offers it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from headrace_servicekit.errors import ServiceError
from headrace_servicekit.runtime import StartError
from headrace_servicekit.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)

Document = dict[str, Any]
Act = Callable[[S, argparse.Namespace], Awaitable[Document]]

EXIT_OK, EXIT_FAILED, EXIT_INCOMPLETE = 0, 1, 3


class CommandError(Exception):
    """A command cannot do what it is to do, for a reason that an operator can act on: shown without a traceback."""


class Incomplete(Exception):
    """A command has done its work but for a part that its document names: exit code 3, neither success nor failure."""

    def __init__(self, document: Document) -> None:
        super().__init__("incomplete")
        self.document = document


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a command, by the names and arguments of `ArgumentParser.add_argument`."""

    flag: str
    arguments: Document


@dataclass(frozen=True, slots=True)
class Command(Generic[S]):
    """name: the word to type. summary: for `--help`. act: gets settings and options, returns what is printed."""

    name: str
    summary: str
    act: Act[S]
    options: Sequence[Option] = ()


def option(flag: str, **arguments: Any) -> Option:
    """Return an option: `option("--out", type=Path, required=True, help="new or empty")`."""
    return Option(flag, arguments)


def add_commands(parser: argparse.ArgumentParser, commands: Sequence[Command[Any]]) -> None:
    """Let a parser understand commands: `command` of what it parses is the chosen one, None where none is typed."""
    parser.set_defaults(command=None)
    if not commands:
        return
    group = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in commands:
        each = group.add_parser(command.name, help=command.summary, description=command.summary)
        for one in command.options:
            each.add_argument(one.flag, **one.arguments)
        each.set_defaults(command=command)


def execute(name: str, command: Command[S], settings: S, options: argparse.Namespace) -> int:
    """Run a command to its end, print its document, and return the exit code. name: of the service."""
    code = EXIT_OK
    try:
        document = asyncio.run(_awaited(command.act(settings, options)))
    except Incomplete as incomplete:
        code, document = EXIT_INCOMPLETE, incomplete.document
    except (CommandError, ServiceError, StartError, OSError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return EXIT_FAILED
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return code


async def _awaited(act: Awaitable[Document]) -> Document:
    return await act
