"""Roll old minutes up into hours, and expire old hours and the totals of processes that are gone.

The database's clock decides what is old, so that a replica with a wrong clock removes nothing too early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.record.counters.decisions.differences import SeriesKey
from headrace_monitor.record.counters.decisions.tallies import decode, encode
from headrace_monitor.record.counters.decisions.traffic import Sums
from headrace_monitor.record.counters.metrics import CounterMetrics
from headrace_monitor.record.counters.rows import ended, key_of, transposed
from headrace_monitor.record.processes import REPLACED_AFTER
from headrace_monitor.storage.schema import Database

_SQL = load_queries("headrace_monitor.record.counters.sql")

# Rows of one transaction, which takes a second at most.
STEP_ROWS = 5000


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long counters are kept. minutes: by the minute, then by the hour. counts: at all. silent: totals of a process
    that does not report; if it comes back later, what it counted meanwhile is lost."""

    minutes: timedelta
    counts: timedelta
    silent: timedelta


class CounterRetention:
    """Applies the policy. Several replicas may run it at once: each transaction locks the rows that it works on."""

    def __init__(self, database: Database, policy: RetentionPolicy, metrics: CounterMetrics) -> None:
        self._database, self._policy, self._metrics = database, policy, metrics

    async def step(self) -> None:
        """Roll up and expire all that is due. Raises Unavailable."""
        while await self._expire_process():
            pass
        while await self._roll_up():
            pass
        counts, minutes = self._policy.counts, self._policy.minutes
        for query, age in (("expire_hours", counts), ("expire_drops", counts), ("expire_erring_units", minutes)):
            while await self._expire(query, age):
                pass
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["expire_processes"], self._policy.counts, self._policy.silent)

    async def _roll_up(self) -> bool:
        """Roll some minutes up into hours; return whether there may be more."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_SQL["take_old_minutes"], self._policy.minutes, STEP_ROWS)
            if rows:
                await connection.execute(_SQL["put_hours"], *await asyncio.to_thread(_hours, rows))
        self._metrics.rolled.inc(len(rows))
        return len(rows) == STEP_ROWS

    async def _expire(self, query: str, age: timedelta) -> bool:
        async with self._database.transaction() as connection:
            status = await connection.execute(_SQL[query], age, STEP_ROWS)
        return status == f"DELETE {STEP_ROWS}"

    async def _expire_process(self) -> bool:
        """Close the open minutes of a silent process and expire its totals; return False when there is none.

        Its row stays, so that the process is recognised if it was only cut off.
        """
        async with self._database.transaction() as connection:
            number = await connection.fetchval(_SQL["silent_process"], self._policy.silent, REPLACED_AFTER)
            if number is None:
                return False
            rows = await connection.fetch(_SQL["take_series"], number)
            minutes = await asyncio.to_thread(ended, rows)
            if minutes:
                await connection.execute(_SQL["put_minutes"], *minutes)
            await connection.execute(_SQL["take_drops"], number)
            await connection.execute(_SQL["expire_process"], number)
        return True


def _hours(rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the columns of the hours that minutes make. Several rows of a key and hour add up, like minutes."""
    sums: Sums[tuple[datetime, SeriesKey]] = Sums()
    sums.add(((row["start"].replace(minute=0), key_of(row)), decode(row["tally"])) for row in rows)
    return transposed((start, *key, encode(tally)) for (start, key), tally in sums.items().items())
