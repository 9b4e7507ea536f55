"""Batches of predictions in PostgreSQL: each number of a process once, whichever replica takes it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from headrace_servicekit.postgres.connections import Transactions
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.record.log.decisions.gaps import BatchRange, Progress, advance
from headrace_monitor.record.log.envelopes import batch_key
from headrace_monitor.record.processes import REPLACED_AFTER, ProcessCounts, admit

_SQL = load_queries("headrace_monitor.record.log")

_PROCESSES_AT_ONCE = 500
_BATCHES_AT_ONCE = 5000
# Processes that are not asked for again. Far more than there are data planes.
_REMEMBERED = 10_000


class StoredBatch(NamedTuple):
    """A batch that is stored as an object."""

    process: UUID
    sequence: int
    data_plane: str
    size_bytes: int
    predictions: int


class LostBatches(NamedTuple):
    """Batches of a data plane that count as lost."""

    data_plane: str
    range: BatchRange


class Batches:
    """Rows of batches and processes. Every method raises Unavailable while the database is down."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._admitted: set[UUID] = set()

    async def admit(self, process: UUID, data_plane: str, most: int) -> None:
        """Check that batches of a process can be taken. most: processes in all. Raises ResourceExhausted.

        To be asked before its first object is stored: what is stored is taken.
        """
        if process in self._admitted:
            return
        for others in await self._rows("other_processes", process, data_plane):
            admit(ProcessCounts(others["of_data_plane"], others["in_all"]), data_plane, most)
        if len(self._admitted) >= _REMEMBERED:
            self._admitted.clear()
        self._admitted.add(process)

    async def add(self, batch: StoredBatch, now: datetime) -> bool:
        """Record that a batch is durable; repeating it changes nothing.

        Returns whether its object is needed: not when the batch is in the log already.
        """
        key = batch_key(batch.process, batch.sequence)
        async with self._database.transaction() as connection:
            seen = await connection.fetchval(_SQL["see_process"], batch.process, batch.data_plane, batch.sequence)
            if batch.sequence > seen or await self._found_again(connection, batch):
                values = (batch.process, batch.sequence, key, batch.size_bytes, batch.predictions, now)
                await connection.execute(_SQL["put_batch"], *values)
            return await connection.fetchval(_SQL["holds_object"], batch.process, batch.sequence)

    async def find_gaps(self, now: datetime, patience: timedelta) -> list[LostBatches]:
        """Advance every process past its batches and gaps; return the batches that now count as lost."""
        lost: list[LostBatches] = []
        last = UUID(int=0)
        while True:
            found = await self._rows("behind", last, _PROCESSES_AT_ONCE)
            for row in found:
                lost += await self._advance(row["process"], now, patience)
            if len(found) < _PROCESSES_AT_ONCE:
                break
            last = found[-1]["process"]
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["expire_batches"])
        return lost

    async def expire(self, before: datetime, now: datetime) -> None:
        """Expire processes that sent nothing since a time, and their lost batches: further batches would be too old.

        Processes that were replaced by another one of the same data plane expire sooner.
        """
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["expire_processes"], before, max(before, now - REPLACED_AFTER))
            await connection.execute(_SQL["expire_lost"], before)

    async def _found_again(self, connection: Any, batch: StoredBatch) -> bool:
        """Return whether a number was counted as lost; it is not any more then."""
        row = await connection.fetchrow(_SQL["take_lost"], batch.process, batch.sequence)
        if row is None:
            return False
        left = BatchRange(row["first"], row["last"]).without(batch.sequence)
        await self._put_lost(connection, batch.process, row["data_plane"], left, row["find_time"])
        return True

    async def _advance(self, process: UUID, now: datetime, patience: timedelta) -> list[LostBatches]:
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_SQL["lock_process"], process)
            if row is None:
                return []
            present = await connection.fetch(_SQL["present"], process, row["through"], _BATCHES_AT_ONCE)
            found: Progress = advance(row["through"], [tuple(one) for one in present], now, patience)
            if found.through > row["through"]:
                await connection.execute(_SQL["set_through"], process, found.through)
                await self._put_lost(connection, process, row["data_plane"], found.lost, now)
        return [LostBatches(row["data_plane"], one) for one in found.lost]

    async def _put_lost(
        self, connection: Any, process: UUID, data_plane: str, ranges: Iterable[BatchRange], when: datetime
    ) -> None:
        rows = [(process, one.first, one.last, data_plane, when) for one in ranges]
        if rows:
            await connection.execute(_SQL["put_lost"], *map(list, zip(*rows, strict=True)))

    async def _rows(self, query: str, *arguments: Any) -> list[Any]:
        return await self._database.repeatable(lambda connection: connection.fetch(_SQL[query], *arguments))
