"""Read what was counted of a model since a cursor, or of a version in the last hour, from one snapshot each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import PreconditionFailed
from headrace_servicekit.fair_share import FairTurns
from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics.sketches.distinct import Distinct, from_bytes

from headrace_monitor.record.counters.decisions.cursors import (
    UNIT_KINDS,
    ArmKey,
    CountKey,
    Cursor,
    MinuteTally,
    NewCounts,
    advance,
    first_minute,
)
from headrace_monitor.record.counters.decisions.differences import minute_of
from headrace_monitor.record.counters.decisions.tallies import Tally, total
from headrace_monitor.record.counters.reader import CHUNK_ROWS, tally_of
from headrace_monitor.storage.schema import Database

_SQL = load_queries("headrace_monitor.record.counters.sql")

# A data plane reports every second, or says every two that it is there.
MISSING_AFTER = timedelta(seconds=5)
# One that was silent for longer is not waited for.
GONE_AFTER = timedelta(minutes=10)
# Reads at once: each of a rollout that asks every second.
MAX_READERS = 4
_MAX_AGE = timedelta(days=1)
# Between the minute of a cursor and its time.
_SPARE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Reporter:
    """A process that is expected to report. missing: it has not reported recently."""

    data_plane: str
    process: str
    seen_time: datetime
    missing: bool


@dataclass(frozen=True, slots=True)
class EvidenceSnapshot:
    """What is new, and who reports."""

    new: NewCounts
    reporters: Sequence[Reporter]


@dataclass(frozen=True, slots=True)
class Block:
    """What was counted in some minutes, the first of which began then."""

    start: datetime
    counts: Mapping[CountKey, Tally]


class EvidenceReader:
    """Reads counts. minutes: how long counts are kept by the minute, after which no cursor finds them."""

    def __init__(self, database: Database, clock: Clock, *, minutes: timedelta) -> None:
        self._database, self._clock = database, clock
        self._max_age = min(_MAX_AGE, minutes - _SPARE)
        self._turns = FairTurns(MAX_READERS)

    async def read(self, model: str, before: Cursor | None) -> EvidenceSnapshot:
        """Return what was counted since a cursor.

        Raises PreconditionFailed for a cursor that is too old, and Unavailable.
        """
        now = self._clock.now()
        if before is not None and now - before.since > self._max_age:
            raise _expired(f"it is from {before.read_time.isoformat()}, and counts are retained for {self._max_age}")

        async def read(connection: Any) -> EvidenceSnapshot:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await self._snapshot(connection, model, before, now)

        async with self._turns.turn():
            return await self._database.repeatable(read)

    async def history(self, model: str, arm: ArmKey, block: timedelta, blocks: int) -> list[Block]:
        """Return what was counted of a version in blocks of whole minutes, the oldest first. Raises Unavailable."""
        end = minute_of(self._clock.now())
        starts = [end - block * number for number in range(blocks, 0, -1)]

        async def read(connection: Any) -> list[MinuteTally]:
            found: list[MinuteTally] = []
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                cursor = await connection.cursor(_SQL["tallies_since"], model, starts[0])
                while rows := await cursor.fetch(CHUNK_ROWS):
                    of_arm = [row for row in rows if (row["version"], row["variant"]) == arm[:2] and row["start"] < end]
                    found += await asyncio.to_thread(_tallies, of_arm)
            return found

        async with self._turns.turn():
            tallies = await self._database.repeatable(read)
        return await asyncio.to_thread(_blocks, tallies, starts, block)

    async def _snapshot(self, connection: Any, model: str, before: Cursor | None, now: datetime) -> EvidenceSnapshot:
        store = str(await connection.fetchval(_SQL["incarnation"]))
        if before is not None and before.store != store:
            raise _expired("the store was replaced since")
        since = first_minute(before, now)
        tallies: list[MinuteTally] = []
        cursor = await connection.cursor(_SQL["tallies_since"], model, since)
        while rows := await cursor.fetch(CHUNK_ROWS):
            tallies += await asyncio.to_thread(_tallies, rows)
        units = [
            (ArmKey(row["version"], row["variant"], kind), from_bytes(row[kind]))
            for row in await connection.fetch(_SQL["units_since"], model, since)
            for kind in UNIT_KINDS
            if row[kind]
        ]
        reporters = [
            Reporter(row["data_plane"], str(row["process"]), row["seen_time"], row["missing"])
            for row in await connection.fetch(_SQL["reporters"], GONE_AFTER, MISSING_AFTER)
        ]
        return EvidenceSnapshot(await asyncio.to_thread(_advance, before, tallies, units, store, now), reporters)


def _tallies(rows: Sequence[Any]) -> list[MinuteTally]:
    keys = CountKey._fields
    return [MinuteTally(row["start"], CountKey(*(row[name] for name in keys)), tally_of(row)) for row in rows]


def _blocks(tallies: Sequence[MinuteTally], starts: Sequence[datetime], block: timedelta) -> list[Block]:
    parts: list[dict[CountKey, list[Tally]]] = [{} for _ in starts]
    for minute, key, tally in tallies:
        parts[(minute - starts[0]) // block].setdefault(key, []).append(tally)
    sums = [{key: total(found) for key, found in one.items()} for one in parts]
    return [
        Block(start, {key: tally for key, tally in one.items() if tally.count})
        for start, one in zip(starts, sums, strict=True)
    ]


def _advance(
    before: Cursor | None, tallies: list[MinuteTally], units: list[tuple[ArmKey, Distinct]], store: str, now: datetime
) -> NewCounts:
    return advance(before, tallies, units, store=store, now=now)


def _expired(why: str) -> PreconditionFailed:
    return PreconditionFailed(f"cursor has expired: {why}; read without one to begin now", reason="CURSOR_EXPIRED")
