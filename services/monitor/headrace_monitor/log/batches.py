"""The batches that are there, in PostgreSQL: each number of a process once, whoever brings it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from headrace_servicekit.postgres.connections import Transactions
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.log.envelopes import batch_key
from headrace_monitor.log.ledger import Progress, Range, advance
from headrace_monitor.processes import REPLACED_AFTER, Known, admit

_SQL = load_queries("headrace_monitor.log")

_PROCESSES_AT_ONCE = 500
_BATCHES_AT_ONCE = 5000
# Processes that are not asked for again. Far more than there are data planes.
_REMEMBERED = 10_000


class StoredBatch(NamedTuple):
    """A batch that lies in the store as an object."""

    process: UUID
    sequence: int
    data_plane: str
    size_bytes: int
    predictions: int


class Lost(NamedTuple):
    """Batches of a data plane that were given up."""

    data_plane: str
    range: Range


class Batches:
    """Rows of batches and processes. Every method raises Unavailable while the database is down."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._admitted: set[UUID] = set()

    async def admit(self, process: UUID, data_plane: str, most: int) -> None:
        """Return if batches of a process can be taken. most: processes in all. Raises ResourceExhausted.

        To be asked before its first object is stored: what is stored is taken.
        """
        if process in self._admitted:
            return
        for others in await self._rows("other_processes", process, data_plane):
            admit(Known(others["of_slot"], others["in_all"]), data_plane, most)
        if len(self._admitted) >= _REMEMBERED:
            self._admitted.clear()
        self._admitted.add(process)

    async def add(self, batch: StoredBatch, now: datetime) -> bool:
        """Note that a batch is durable; repeating it changes nothing.

        Returns whether its object is needed: not when the batch is in the log already.
        """
        key = batch_key(batch.process, batch.sequence)
        async with self._database.transaction() as connection:
            seen = await connection.fetchval(_SQL["see_process"], batch.process, batch.data_plane, batch.sequence)
            if batch.sequence > seen or await self._found_again(connection, batch):
                values = (batch.process, batch.sequence, key, batch.size_bytes, batch.predictions, now)
                await connection.execute(_SQL["put_batch"], *values)
            return await connection.fetchval(_SQL["holds_object"], batch.process, batch.sequence)

    async def look_for_gaps(self, now: datetime, patience: timedelta) -> list[Lost]:
        """Find out how far every process is; return what was given up. What is behind is forgotten when it can be."""
        lost: list[Lost] = []
        last = UUID(int=0)
        while True:
            found = await self._rows("behind", last, _PROCESSES_AT_ONCE)
            for row in found:
                lost += await self._advance(row["process"], now, patience)
            if len(found) < _PROCESSES_AT_ONCE:
                break
            last = found[-1]["process"]
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["forget_batches"])
        return lost

    async def forget(self, before: datetime, now: datetime) -> None:
        """Forget processes, and what they lost, that nobody heard of since a time: batches of theirs are too old.

        Those are forgotten sooner whose place another process has taken.
        """
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["forget_processes"], before, max(before, now - REPLACED_AFTER))
            await connection.execute(_SQL["forget_lost"], before)

    async def _found_again(self, connection: Any, batch: StoredBatch) -> bool:
        """Return whether a number was counted as lost; it is not any more then."""
        row = await connection.fetchrow(_SQL["take_lost"], batch.process, batch.sequence)
        if row is None:
            return False
        left = Range(row["first"], row["last"]).without(batch.sequence)
        await self._put_lost(connection, batch.process, row["data_plane"], left, row["find_time"])
        return True

    async def _advance(self, process: UUID, now: datetime, patience: timedelta) -> list[Lost]:
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_SQL["lock_process"], process)
            if row is None:
                return []
            present = await connection.fetch(_SQL["present"], process, row["through"], _BATCHES_AT_ONCE)
            found: Progress = advance(row["through"], [tuple(one) for one in present], now, patience)
            if found.through > row["through"]:
                await connection.execute(_SQL["set_through"], process, found.through)
                await self._put_lost(connection, process, row["data_plane"], found.lost, now)
        return [Lost(row["data_plane"], one) for one in found.lost]

    async def _put_lost(
        self, connection: Any, process: UUID, data_plane: str, ranges: Iterable[Range], when: datetime
    ) -> None:
        rows = [(process, one.first, one.last, data_plane, when) for one in ranges]
        if rows:
            await connection.execute(_SQL["put_lost"], *map(list, zip(*rows, strict=True)))

    async def _rows(self, query: str, *arguments: Any) -> list[Any]:
        return await self._database.repeatable(lambda connection: connection.fetch(_SQL[query], *arguments))
