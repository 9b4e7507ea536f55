"""Integrity of a history: each line has a digest of itself and of the line before it.

A writer to the database can change a line and all that follow, and delete the last ones. Earlier heads, stored
elsewhere, reveal both.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from headrace_servicekit.commands import Command, CommandError, Document, Incomplete, option
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.kept_heads import FolderHeads, HeadKeeper
from headrace_servicekit.postgres.sql import load_queries
from headrace_servicekit.settings import variable

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

    of: what it is about, "routes": its heads are stored under that. sql: the package of its queries: history_lines, the
    number of lines; history_misfits and history_heads, with the columns subject and place, and chain; history_chain,
    the digest of a line by subject and place.
    """

    subject: str
    place: tuple[str, ...]
    sql: str
    of: str

    async def verify(self, connections: Connections, *earlier: Mapping[str, Head]) -> Verified:
        """Look through all lines, of one moment. earlier: heads of earlier times, which have to be there still."""
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
            heads = self._heads(last)
            broken += await self._lost(connection, sql["history_chain"], heads, earlier)
        return Verified(lines, heads, broken)

    async def against(self, connections: Connections, kept: Mapping[str, Head]) -> Verified:
        """Look only whether heads of an earlier time are there still, which takes no look at each line."""
        sql = load_queries(self.sql)
        async with (
            connections.alone() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            heads = self._heads(await connection.fetch(sql["history_heads"]))
            return Verified(0, heads, await self._lost(connection, sql["history_chain"], heads, (kept,)))

    async def _lost(
        self, connection: Any, query: str, heads: Mapping[str, Head], earlier: Sequence[Mapping[str, Head]]
    ) -> list[BrokenLine]:
        lost: dict[BrokenLine, None] = {}
        for subject, head in (item for one in earlier for item in one.items()):
            if heads.get(subject) == head:
                continue
            found = await connection.fetchval(query, subject, *head.place)
            if found is None:
                lost[BrokenLine(subject, head.place, "GONE")] = None
            elif found.hex() != head.chain:
                lost[BrokenLine(subject, head.place, "REWRITTEN")] = None
        return list(lost)

    def _heads(self, rows: Iterable[Any]) -> dict[str, Head]:
        return {row["subject"]: Head(self._place(row), row["chain"].hex()) for row in rows}

    def write_heads(self, path: Path, heads: Mapping[str, Head]) -> None:
        """Write heads to be kept elsewhere. Raises CommandError."""
        try:
            # Beside it first: the file may be that of `--since`, which is all that there is to compare with.
            beside = path.with_name(f".{path.name}.new")
            beside.write_bytes(self.to_text(heads))
            beside.replace(path)
        except OSError as error:
            raise CommandError(f"cannot write {path}: {error.strerror}") from None

    def to_text(self, heads: Mapping[str, Head], new_sequence: str = "") -> bytes:
        """Return heads as a file. new_sequence: the reason why earlier heads no longer count."""
        entries = {subject: {**self._named(head.place), "chain": head.chain} for subject, head in sorted(heads.items())}
        document = {"format": _FORMAT, "of": f"{self.subject}s", "heads": entries}
        if new_sequence:
            document["new_sequence"] = new_sequence
        return (json.dumps(document, indent=1) + "\n").encode()

    def read_heads(self, path: Path) -> dict[str, Head]:
        """Return heads that were written. Raises CommandError."""
        try:
            return self.of_text(path.read_bytes(), str(path))
        except OSError as error:
            raise CommandError(f"cannot read {path}: {error.strerror}") from None

    def of_text(self, content: bytes, where: str) -> dict[str, Head]:
        """Return the heads of a file. Raises CommandError that names it."""
        try:
            document = json.loads(content.decode("utf-8"))
            if document["format"] != _FORMAT:
                raise ValueError(f"format {document['format']} is not known here")
            of = document.get("of", f"{self.subject}s")  # which is not in files from when only models had chains
            if of != f"{self.subject}s":
                raise ValueError(f"it is about {of}")
            return {
                str(subject): Head(tuple(int(one[column]) for column in self.place), str(one["chain"]))
                for subject, one in document["heads"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise CommandError(f"{where} is not what `verify` writes: {error!r}") from None

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


Opened = Callable[[Any], AbstractAsyncContextManager[Connections]]
Kept = Callable[[Any], AbstractAsyncContextManager[HeadKeeper | None]]


async def keep_heads(history: History, connections: Connections, keeper: HeadKeeper) -> Sequence[BrokenLine]:
    """Keep the heads of now, unless of those kept before some are gone: these are returned, and stay the newest."""
    number, before = await _newest(history, keeper)
    found = await history.against(connections, before)
    if not found.broken and found.heads != before:
        await keeper.keep(number + 1, history.to_text(found.heads))
    return found.broken


async def begin_sequence(history: History, connections: Connections, keeper: HeadKeeper, reason: str) -> None:
    """Store the present heads without comparing them with earlier ones, and the reason with them."""
    number, _ = await _newest(history, keeper)
    found = await history.against(connections, {})
    await keeper.keep(number + 1, history.to_text(found.heads, reason))


async def _newest(history: History, keeper: HeadKeeper) -> tuple[int, dict[str, Head]]:
    newest = await keeper.newest()
    if newest is None:
        return 0, {}
    number, content = newest
    return number, history.of_text(content, f"number {number} of the stored heads")


def verify_command(history: History, opened: Opened, kept: Kept) -> Command[Any]:
    """Return the command `verify`. opened: the service's database, with the schema of this code. kept: where the
    service itself keeps heads; None where its settings have no such place.
    """

    async def act(settings: Any, options: argparse.Namespace) -> Document:
        since = {} if options.since is None else history.read_heads(options.since)
        async with AsyncExitStack() as stack:
            keeper: HeadKeeper | None = None if options.heads is None else FolderHeads(options.heads)
            if keeper is None:
                keeper = await stack.enter_async_context(kept(settings))
            number, before = (0, {}) if keeper is None else await _newest(history, keeper)
            connections = await stack.enter_async_context(opened(settings))
            found = await history.verify(connections, since, {} if options.new_sequence else before)
            document = history.document(found)
            if keeper is not None:
                document["kept"] = len(before)
            if not number and options.since is None:
                document["not_checked"] = (
                    "whether lines were removed at the end, or all: no earlier last lines are stored; set "
                    f"{variable(type(settings), 's3_endpoint')}, or name some with --heads or --since"
                )
            if found.broken:
                raise Incomplete(document)
            if keeper is not None and (options.new_sequence or found.heads != before):
                await keeper.keep(number + 1, history.to_text(found.heads, options.new_sequence or ""))
        if options.out is not None:
            history.write_heads(options.out, found.heads)
        return document

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
            option(
                "--heads",
                type=Path,
                metavar="FOLDER",
                help=f"compare with the newest file there, and add one: last lines of each {subject}; by default "
                "in the service's bucket",
            ),
            option(
                "--new-sequence",
                metavar="REASON",
                help="after a restore: ignore the stored heads and store new ones, with this reason",
            ),
        ),
    )
