"""Read counters: minutes that ended, the hours that they were rolled up into, and minutes that are still open."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from headrace_servicekit.fair_share import FairTurns
from headrace_servicekit.postgres.sql import load_queries
from headrace_servicekit.times import Span

from headrace_monitor.record.counters.decisions.buckets import buckets_of, occupied
from headrace_monitor.record.counters.decisions.tallies import Tally, decode
from headrace_monitor.record.counters.decisions.time_series import MAX_PARTS, Part, PartGroup, part_of
from headrace_monitor.record.counters.decisions.traffic import Group, Sums, Traffic, traffic_of
from headrace_monitor.storage.schema import Database

K = TypeVar("K")

_SQL = load_queries("headrace_monitor.record.counters.sql")

# Rows held at once, of half a kilobyte each.
CHUNK_ROWS = 2000
# A request over months adds up a hundred thousand histograms: concurrent ones take turns.
MAX_READERS = 2
# A model that was asked for ten minutes of a day is shown by the minute: how often a time is narrowed.
_MOST_ROUNDS = 3
# Parts of a time of a model.
MAX_BUCKETS = 48
_MOST_STARTS = 100

Parts = Sequence[tuple[Span, Sequence[Traffic]]]


class Losses(Protocol):
    """Batches of predictions that never came."""

    async def lost_batches(self, connection: Any, span: Span) -> int:
        """Return how many batches were found to be lost in a time, and still are."""
        ...


class LostBatchCounts:
    """Lost batches as the prediction log records them."""

    async def lost_batches(self, connection: Any, span: Span) -> int:
        return await connection.fetchval(_SQL["lost_batches"], span.start, span.end)


@dataclass(frozen=True, slots=True)
class TrafficSummary:
    """Traffic of one model in a time range. The last two are of all models."""

    traffic: Sequence[Traffic]
    dropped_predictions: int
    lost_batches: int


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """Traffic over time. starts: names of data planes whose processes first reported in it, and when."""

    parts: Sequence[Part]
    starts: Sequence[tuple[str, datetime]]


class TrafficReader:
    """Answers from one snapshot, so that no minute is missing or counted twice while it ends.

    minutes: how long counters are retained by the minute.
    """

    def __init__(self, database: Database, losses: Losses, *, minutes: timedelta) -> None:
        self._database, self._losses, self._minutes = database, losses, minutes
        self._turns = FairTurns(MAX_READERS)

    async def traffic(self, model: str, span: Span) -> TrafficSummary:
        """Return what was counted in the minutes, and in hours for those that were rolled up, that begin in a time.

        Raises Unavailable.
        """

        async def read(connection: Any) -> tuple[Mapping[Group, Tally], int, int]:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                arguments = [model], span.start, span.end
                sums = await _added_up(connection, _SQL["tallies_of_models"], arguments, _group)
                dropped = await dropped_in(connection, span)
                return sums, dropped, await self._losses.lost_batches(connection, span)

        async with self._turns.turn():
            sums, dropped, lost = await self._database.repeatable(read)
        return TrafficSummary(await asyncio.to_thread(traffic_of, sums), dropped, lost)

    async def over_time(self, model: str, span: Span, now: datetime) -> Parts:
        """Return the traffic of parts of a time, from the first that has some to the last. Raises Unavailable."""
        found: Parts = ()
        for _ in range(_MOST_ROUNDS):
            buckets = buckets_of(span, now, minutes=self._minutes, limit=MAX_BUCKETS)
            all_found = await self.by_part(model, buckets)
            found = all_found[occupied([any(one.count for one in traffic) for _, traffic in all_found])]
            if not found:
                break
            span = Span(max(found[0][0].start, span.start), min(found[-1][0].end, span.end))
            if len(buckets_of(span, now, minutes=self._minutes, limit=MAX_BUCKETS)) <= len(found):
                break
        return found

    async def by_part(self, model: str, parts: Sequence[Span]) -> Parts:
        """Return the traffic of adjacent parts of a time, all of one length. Raises Unavailable."""
        sums = await self._by_part(parts, _SQL["tallies_of_models"], ([model],), _group)
        return await asyncio.to_thread(lambda: [(part, traffic_of(one)) for part, one in zip(parts, sums, strict=True)])

    async def time_series(
        self, model: str, version: str, sees: Callable[[str], bool], span: Span, now: datetime
    ) -> TimeSeries:
        """Return traffic over time. model, version: empty for all of them. sees: whether the caller may know a model.

        Raises Unavailable.
        """
        spans = buckets_of(span, now, minutes=self._minutes, limit=MAX_PARTS)
        seen = functools.cache(sees)

        def group(row: Any) -> PartGroup | None:
            if not seen(row["model"]) or version not in ("", row["version"]):
                return None
            return PartGroup(row["model"], row["version"], row["served_from"], row["code"])

        query, arguments = (_SQL["tallies_of_models"], ([model],)) if model else (_SQL["tallies"], ())
        sums = await self._by_part(spans, query, arguments, group)
        starts = await self._database.repeatable(
            lambda connection: connection.fetch(_SQL["data_plane_starts"], span.start, span.end, _MOST_STARTS)
        )
        parts = await asyncio.to_thread(lambda: [part_of(part, one) for part, one in zip(spans, sums, strict=True)])
        return TimeSeries(parts, [(row["data_plane"], row["first_time"]) for row in starts])

    async def _by_part(
        self, parts: Sequence[Span], query: str, arguments: tuple[Any, ...], group_of: Callable[[Any], K | None]
    ) -> Sequence[Mapping[K, Tally]]:
        """Return the sums of each part by group. group_of: of a row; None leaves it out."""
        first, length = parts[0].start, parts[0].end - parts[0].start

        def key_of(row: Any) -> tuple[int, K] | None:
            group = group_of(row)
            return None if group is None else ((row["start"] - first) // length, group)

        async def read(connection: Any) -> Mapping[tuple[int, K], Tally]:
            async with connection.transaction(readonly=True):
                return await _added_up(connection, query, (*arguments, first, parts[-1].end), key_of)

        async with self._turns.turn():
            sums = await self._database.repeatable(read)
        found: list[dict[K, Tally]] = [{} for _ in parts]
        for (at, group), tally in sums.items():
            found[at][group] = tally
        return found

    async def of_models(self, models: Sequence[str], span: Span) -> Mapping[str, Sequence[Traffic]]:
        """Return the traffic of those of the models that have any. Raises Unavailable."""

        async def read(connection: Any) -> Mapping[tuple[str, Group], Tally]:
            arguments = models, span.start, span.end
            async with connection.transaction(readonly=True):
                return await _added_up(connection, _SQL["tallies_of_models"], arguments, _of_each_model)

        async with self._turns.turn():
            sums = await self._database.repeatable(read)
        by_model: dict[str, dict[Group, Tally]] = {}
        for (model, group), tally in sums.items():
            by_model.setdefault(model, {})[group] = tally
        return await asyncio.to_thread(lambda: {model: traffic_of(found) for model, found in by_model.items()})


async def dropped_in(connection: Any, span: Span) -> int:
    """Return how many predictions data planes dropped in the minutes that begin in a time."""
    return await connection.fetchval(_SQL["dropped"], span.start, span.end)


def tally_of(row: Any) -> Tally:
    """Return what a row adds: of an open minute, what is beyond its base."""
    tally = decode(row["tally"])
    return tally if row["base"] is None else tally.minus(decode(row["base"]))


async def _added_up(
    connection: Any, query: str, arguments: tuple[Any, ...], key_of: Callable[[Any], K | None]
) -> Mapping[K, Tally]:
    """Add up the tallies that a query returns, some at a time, while others are answered. key_of: None leaves out."""
    # Of this reading alone: one whose connection broke is repeated.
    sums: Sums[K] = Sums()

    def add(rows: Sequence[Any]) -> None:
        keyed = ((key_of(row), row) for row in rows)
        sums.add((key, tally_of(row)) for key, row in keyed if key is not None)

    cursor = await connection.cursor(query, *arguments)
    while rows := await cursor.fetch(CHUNK_ROWS):
        await asyncio.to_thread(add, rows)
    return sums.items()


def _group(row: Any) -> Group:
    return Group(row["version"], row["variant"], row["served_from"], row["code"])


def _of_each_model(row: Any) -> tuple[str, Group]:
    return row["model"], _group(row)
