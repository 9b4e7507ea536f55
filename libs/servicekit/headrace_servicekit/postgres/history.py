"""Whether a history is what was written: each line has a digest of itself and of the line before it.

Who can change a line in the database can change those that follow, and take the last ones away. Neither can be hidden
from whoever kept the heads of an earlier time elsewhere.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from headrace_servicekit.commands import Command, CommandError, Document, Incomplete, option
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

LONG_S = 3600.0
_FORMAT = 1


class Head(NamedTuple):
    """The last line of a chain. place: which line it is. chain: its digest, in hexadecimal."""

    place: tuple[int, ...]
    chain: str


class BrokenLine(NamedTuple):
    """A line that is not what was written, or is gone. subject: whose chain it is in."""

    subject: str
    place: tuple[int, ...]
    reason: str


class Verified(NamedTuple):
    """What was found. broken: the first line of each chain that does not fit, and heads of before that are gone."""

    lines: int
    heads: Mapping[str, Head]
    broken: list[BrokenLine]


@dataclass(frozen=True, slots=True)
class History:
    """The history that a service keeps. subject: what has a chain each, "model". place: columns that name a line of it.

    sql: the package of its queries: history_lines, the number of lines; history_misfits and history_heads, with the
    columns subject and place, and chain; history_chain, the digest of a line by subject and place.
    """

    subject: str
    place: tuple[str, ...]
    sql: str

    async def verify(self, connections: Connections, since: Mapping[str, Head] | None = None) -> Verified:
        """Look through all lines, of one moment. since: heads of an earlier time, which have to be there still."""
        sql = load_queries(self.sql)
        async with (
            connections.alone() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute("set local statement_timeout = 0", timeout=LONG_S)
            lines = await connection.fetchval(sql["history_lines"], timeout=LONG_S)
            misfits = await connection.fetch(sql["history_misfits"], timeout=LONG_S)
            last = await connection.fetch(sql["history_heads"], timeout=LONG_S)
            broken = [BrokenLine(row["subject"], self._place(row), "CHANGED") for row in misfits]
            for subject, head in (since or {}).items():
                found = await connection.fetchval(sql["history_chain"], subject, *head.place)
                if found is None:
                    broken.append(BrokenLine(subject, head.place, "GONE"))
                elif found.hex() != head.chain:
                    broken.append(BrokenLine(subject, head.place, "REWRITTEN"))
        heads = {row["subject"]: Head(self._place(row), row["chain"].hex()) for row in last}
        return Verified(lines, heads, broken)

    def write_heads(self, path: Path, heads: Mapping[str, Head]) -> None:
        """Write heads to be kept elsewhere. Raises CommandError."""
        told = {subject: {**self._named(head.place), "chain": head.chain} for subject, head in sorted(heads.items())}
        document = {"format": _FORMAT, "of": f"{self.subject}s", "heads": told}
        try:
            # Beside it first: the file may be that of `--since`, which is all that there is to compare with.
            beside = path.with_name(f".{path.name}.new")
            beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            beside.replace(path)
        except OSError as error:
            raise CommandError(f"cannot write {path}: {error.strerror}") from None

    def read_heads(self, path: Path) -> dict[str, Head]:
        """Return heads that were written. Raises CommandError."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["format"] != _FORMAT:
                raise ValueError(f"format {document['format']} is not known here")
            of = document.get("of", f"{self.subject}s")  # which is not in files from when only models had chains
            if of != f"{self.subject}s":
                raise ValueError(f"it is about {of}")
            return {
                str(subject): Head(tuple(int(one[column]) for column in self.place), str(one["chain"]))
                for subject, one in document["heads"].items()
            }
        except OSError as error:
            raise CommandError(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise CommandError(f"{path} is not what `verify --out` writes: {error!r}") from None

    def _place(self, row: Any) -> tuple[int, ...]:
        return tuple(int(row[column]) for column in self.place)

    def _named(self, place: tuple[int, ...]) -> dict[str, int]:
        return dict(zip(self.place, place, strict=True))

    def document(self, found: Verified) -> Document:
        """Return what the command prints."""
        return {
            f"{self.subject}s": len(found.heads),
            "lines": found.lines,
            "broken": [
                {self.subject: one.subject, **self._named(one.place), "reason": one.reason} for one in found.broken
            ],
        }


def verify_command(history: History, opened: Callable[[Any], AbstractAsyncContextManager[Connections]]) -> Command[Any]:
    """Return the command `verify`. opened: returns the service's database, with the schema of this code."""

    async def act(settings: Any, options: argparse.Namespace) -> Document:
        since = None if options.since is None else history.read_heads(options.since)
        async with opened(settings) as connections:
            found = await history.verify(connections, since)
        if found.broken:
            raise Incomplete(history.document(found))
        if options.out is not None:
            history.write_heads(options.out, found.heads)
        return history.document(found)

    subject = history.subject
    return Command(
        "verify",
        f"find lines of {subject}s' histories that were changed or removed; exit code 3 where there are any",
        act,
        (
            option("--since", type=Path, metavar="FILE", help="that an earlier one wrote: also what it had is there"),
            option(
                "--out", type=Path, metavar="FILE", help=f"write the last line of each {subject}, to keep elsewhere"
            ),
        ),
    )
