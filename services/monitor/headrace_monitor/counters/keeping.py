"""Keeping less of what is older: minutes become hours, hours go, and the totals of processes that are gone.

What is removed is decided by the database's clock: one that jumps on one replica must not remove what others keep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.counters.differences import Key
from headrace_monitor.counters.metrics import CounterMetrics
from headrace_monitor.counters.rows import ended, key_of, transposed
from headrace_monitor.counters.tallies import decode, encode
from headrace_monitor.counters.traffic import Sums
from headrace_monitor.processes import REPLACED_AFTER
from headrace_monitor.storage.schema import Database

_SQL = load_queries("headrace_monitor.counters.sql")

# Of a step: a transaction of a second at most.
STEP_ROWS = 5000


@dataclass(frozen=True, slots=True)
class Retention:
    """For how long things are kept. minutes: apart, then by hour. counts: at all. silent: totals of a process that is
    not heard of; it must have come back by then, or what it counted meanwhile is lost."""

    minutes: timedelta
    counts: timedelta
    silent: timedelta


class Keeping:
    """Any number of replicas may do it at once: every step is one transaction over rows that it alone has."""

    def __init__(self, database: Database, retention: Retention, metrics: CounterMetrics) -> None:
        self._database, self._retention, self._metrics = database, retention, metrics

    async def tidy(self) -> None:
        """Do all that is due. Raises Unavailable."""
        while await self._forget_process():
            pass
        while await self._roll_up():
            pass
        for query in ("forget_hours", "forget_drops"):
            while await self._forget(query):
                pass
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["forget_processes"], self._retention.counts, self._retention.silent)

    async def _roll_up(self) -> bool:
        """Make hours of some minutes; return whether there may be more."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_SQL["take_old_minutes"], self._retention.minutes, STEP_ROWS)
            if rows:
                await connection.execute(_SQL["put_hours"], *await asyncio.to_thread(_hours, rows))
        self._metrics.rolled.inc(len(rows))
        return len(rows) == STEP_ROWS

    async def _forget(self, query: str) -> bool:
        async with self._database.transaction() as connection:
            status = await connection.execute(_SQL[query], self._retention.counts, STEP_ROWS)
        return status == f"DELETE {STEP_ROWS}"

    async def _forget_process(self) -> bool:
        """End the open minutes of a process that is not heard of, and forget its totals; False when there is none.

        Its row stays, so that it is known again if it was only cut off.
        """
        async with self._database.transaction() as connection:
            number = await connection.fetchval(_SQL["silent_process"], self._retention.silent, REPLACED_AFTER)
            if number is None:
                return False
            rows = await connection.fetch(_SQL["take_series"], number)
            minutes = await asyncio.to_thread(ended, rows)
            if minutes:
                await connection.execute(_SQL["put_minutes"], *minutes)
            await connection.execute(_SQL["take_drops"], number)
            await connection.execute(_SQL["forget_process"], number)
        return True


def _hours(rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the columns of the hours that minutes make. Several rows of a key and hour add up, like minutes."""
    sums: Sums[tuple[datetime, Key]] = Sums()
    sums.add(((row["start"].replace(minute=0), key_of(row)), decode(row["tally"])) for row in rows)
    return transposed((start, *key, encode(tally)) for (start, key), tally in sums.items().items())
