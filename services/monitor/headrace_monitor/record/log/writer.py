"""Writing files of the log: an object is noted before it is written, and becomes a file in one transaction with what
that replaces. So nothing is there twice, and what a killed process left is found.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Aborted
from headrace_servicekit.postgres.connections import Transactions
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.record.log.files import object_key
from headrace_monitor.record.log.objects import Objects

_SQL = load_queries("headrace_monitor.record.log")

# Advisory lock of a commit, so that file ids become visible in order.
_COMMIT_LOCK = 0x6865_6164_6C6F_6702
# Far longer than a write takes: within this time an unlisted object may be a file that is being written.
WRITING_FOR = timedelta(minutes=15)
REMOVE_AT_ONCE = 500


class NewFile(NamedTuple):
    """A file before it is stored."""

    model: str
    version: str
    hour: datetime
    content: bytes
    rows: int
    predictions: int
    min_answer_time: datetime
    max_answer_time: datetime


class Written(NamedTuple):
    """A file whose object is stored."""

    key: str
    file: NewFile


class Files:
    """Stores files and lists them. Every method raises Unavailable while one of the stores is down."""

    def __init__(self, database: Transactions, objects: Objects, clock: Clock) -> None:
        self._database, self._objects, self._clock = database, objects, clock

    async def store(self, files: Sequence[NewFile]) -> list[Written]:
        """Store objects that are no files yet."""
        written = [Written(object_key(one.model, one.version, one.hour, uuid.uuid4().hex), one) for one in files]
        keys = [one.key for one in written]
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["begin_writing"], keys, self._clock.now() + WRITING_FOR)
        for one in written:
            await self._objects.put_if_absent(one.key, one.file.content)
        return written

    async def commit(self, connection: Any, written: Sequence[Written], *, merged: bool = False) -> None:
        """Make objects files, in the caller's transaction. Raises Aborted when they were given up meanwhile."""
        if not written:
            return
        await connection.execute("select pg_advisory_xact_lock($1)", _COMMIT_LOCK)
        expect(await connection.execute(_SQL["written"], [one.key for one in written]), len(written))
        columns = zip(*(_row(one) for one in written), strict=True)
        await connection.execute(_SQL["put_files"], *map(list, columns), merged, self._clock.now())

    async def remove_leftovers(self) -> bool:
        """Remove objects that are no files any more, or never became any; return whether there may be more."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_SQL["claim_leftovers"], self._clock.now(), REMOVE_AT_ONCE)
        keys = [row["object_key"] for row in rows]
        if keys:
            await self._objects.remove(keys)
            async with self._database.transaction() as connection:
                await connection.execute(_SQL["expire_leftovers"], keys)
        return len(keys) == REMOVE_AT_ONCE


def expect(tag: str, wanted: int) -> None:
    """Raise Aborted unless a statement changed `wanted` rows: a concurrent change was first. tag: of the statement."""
    if int(tag.rpartition(" ")[2]) != wanted:
        raise Aborted("another replica was first", reason="NOT_LEADING")


def _row(one: Written) -> tuple[Any, ...]:
    file = one.file
    return (
        *(file.model, file.version, file.hour, one.key, len(file.content)),
        *(file.rows, file.predictions, file.min_answer_time, file.max_answer_time),
    )
