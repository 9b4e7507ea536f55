"""Compact durable batches into records of the log, each once, in order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Transactions
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.record.log import envelopes
from headrace_monitor.record.log.contracts import ContractSource, VersionContract
from headrace_monitor.record.log.metrics import LogMetrics
from headrace_monitor.record.log.objects import Objects
from headrace_monitor.record.log.writer import Files, NewFile, expect
from headrace_monitor.storage.schema import passed

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace_monitor.record.log.decoder import Partition

log = structlog.get_logger()

_SQL = load_queries("headrace_monitor.record.log")

# Of one round, before they are decoded: what is in memory at once is a small multiple.
ROUND_BYTES = 32 * 1024 * 1024
ROUND_BATCHES = 500
REMOVE_AT_ONCE = 1000
FIRST_RETRY_S = 2.0
MAX_RETRY_S = 300.0

Contracts = dict[tuple[str, str], VersionContract]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Result of a batch in a round. waiting: groups that have to be decoded later; none finishes it.

    damage: why it was given up, or why it waits.
    """

    number: int
    attempts: int
    waiting: tuple[int, ...] = ()
    damage: str | None = None


@dataclass(slots=True)
class _Round:
    results: list[BatchResult] = field(default_factory=list)
    tables: dict[Partition, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))
    size_bytes: int = 0
    odd: int = 0


class Compactor:
    """Compacts one round at a time. Killed anywhere, the next round does what this one did not commit."""

    def __init__(
        self,
        database: Transactions,
        objects: Objects,
        files: Files,
        contracts: ContractSource,
        *,
        keep: timedelta,
        clock: Clock,
        metrics: LogMetrics,
    ) -> None:
        self._database, self._objects, self._files, self._contracts = database, objects, files, contracts
        self._keep, self._clock, self._metrics = keep, clock, metrics

    async def round(self) -> bool:
        """Compact due batches, as many as fit into memory; return whether there are more."""
        now = self._clock.now()
        oldest = await passed(self._database, now) - self._keep
        due = await self._rows("due_batches", now, ROUND_BATCHES)
        done = _Round()
        for row in due:
            await self._decode_batch(row, oldest, done)
            if done.size_bytes >= ROUND_BYTES:
                break
        if done.results:
            await self._commit(done, now)
        await self._export_metrics()
        return len(done.results) < len(due) or len(due) == ROUND_BATCHES

    async def remove_compacted(self) -> None:
        """Remove the objects of batches that are in the log."""
        while rows := await self._rows("to_remove", REMOVE_AT_ONCE):
            await self._objects.remove([row["object_key"] for row in rows])
            async with self._database.transaction() as connection:
                await connection.execute(_SQL["removed"], [row["number"] for row in rows])

    async def _decode_batch(self, row: Any, oldest: datetime, done: _Round) -> None:
        """Decode the groups of a batch whose contracts are known. oldest: batches from before then wait no longer."""
        number, attempts, too_old = row["number"], row["attempts"], row["store_time"] < oldest
        try:
            request = await asyncio.to_thread(envelopes.unpack, await self._objects.get(row["object_key"]))
        except (LookupError, envelopes.DamagedError) as error:
            done.results.append(self._given_up(row, repr(error)))
            return
        due = tuple(range(len(request.batch.groups)) if row["waiting_groups"] is None else row["waiting_groups"])
        contracts, waiting = await self._contracts_of(request, due)
        if waiting and too_old:
            done.results.append(self._given_up(row, "its version stayed unknown until the record expired"))
            return
        try:
            await asyncio.to_thread(_decode, request, contracts, set(due) - set(waiting), done)
            done.results.append(BatchResult(number, attempts, waiting))
        except Exception as error:
            # A defect in our code: the batch waits within its retention for a fixed release; the others continue.
            log.error("batch cannot be decoded", key=row["object_key"], attempts=attempts, exc_info=attempts == 0)
            error_name = type(error).__name__
            if too_old:
                done.results.append(self._given_up(row, f"it could not be decoded until it expired: {error_name}"))
            else:
                done.results.append(BatchResult(number, attempts, due, damage=error_name))
        done.size_bytes += request.ByteSize()

    def _given_up(self, row: Any, reason: str) -> BatchResult:
        log.error("batch given up", key=row["object_key"], reason=reason)
        self._metrics.damaged()
        return BatchResult(row["number"], row["attempts"], damage=reason)

    async def _contracts_of(
        self, request: telemetry_pb2.ReportPredictionsRequest, due: Collection[int]
    ) -> tuple[Contracts, tuple[int, ...]]:
        """Return the contracts of groups, and the groups whose version is unknown at present."""
        known: Contracts = {}
        waiting = []
        for index in due:
            group = request.batch.groups[index]
            if not group.version:  # values that a route gives: no version computed them
                continue
            try:
                found = await self._contracts.get(group.model, group.version)
            except Unavailable:
                found = None
            if found is None:
                waiting.append(index)
            else:
                known[group.model, group.version] = found
        return known, tuple(waiting)

    async def _commit(self, done: _Round, now: datetime) -> None:
        files = await asyncio.to_thread(_files, done.tables)
        written = await self._files.store(files)
        async with self._database.transaction() as connection:
            columns = zip(*(_row(one, now) for one in done.results), strict=True)
            expect(await connection.execute(_SQL["save_results"], *map(list, columns), now), len(done.results))
            await self._files.commit(connection, written)
        self._metrics.written(len(files), sum(file.rows for file in files), done.odd)

    async def _export_metrics(self) -> None:
        (row,) = await self._rows("waiting")
        oldest_s = 0.0 if row["oldest"] is None else (self._clock.now() - row["oldest"]).total_seconds()
        self._metrics.waits(row["batches"], max(0.0, oldest_s))

    async def _rows(self, query: str, *arguments: Any) -> list[Any]:
        return await self._database.repeatable(lambda connection: connection.fetch(_SQL[query], *arguments))


def _row(one: BatchResult, now: datetime) -> tuple[int, int, str, datetime, str | None]:
    pause_s = min(FIRST_RETRY_S * 2.0 ** min(one.attempts, 30), MAX_RETRY_S)
    groups = ",".join(map(str, one.waiting))
    return one.number, one.attempts, groups, now + timedelta(seconds=pause_s), one.damage


def _decode(
    request: telemetry_pb2.ReportPredictionsRequest, contracts: Contracts, groups: Collection[int], done: _Round
) -> None:
    """Add the records of a batch to a round, all or none. Runs in a thread."""
    from headrace_monitor.record.log import decoder

    found = decoder.decode(request, contracts, sorted(groups))
    for partition, tables in found.tables.items():
        done.tables[partition] += tables
    done.odd += found.odd


def _files(tables: dict[Partition, list[pa.Table]]) -> list[NewFile]:
    """Return a file for each partition. Runs in a thread."""
    from headrace_monitor.record.log import decoder, parquet

    return [parquet.new_file(*partition, decoder.join(parts)) for partition, parts in tables.items()]
