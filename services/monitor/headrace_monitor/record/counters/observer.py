"""Write the observations that alert rules judge traffic by: once for each minute, whichever replica does it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from headrace_servicekit.clock import Clock
from headrace_servicekit.postgres.sql import load_queries
from headrace_servicekit.times import Span

from headrace_monitor.alert.observations import Observations
from headrace_monitor.record.counters.decisions.differences import minute_of
from headrace_monitor.record.counters.decisions.signals import SETTLE, AnswerKey, due, losses_of, signals_of
from headrace_monitor.record.counters.decisions.tallies import Tally
from headrace_monitor.record.counters.decisions.traffic import Sums
from headrace_monitor.record.counters.metrics import CounterMetrics
from headrace_monitor.record.counters.reader import Losses, dropped_in, tally_of
from headrace_monitor.storage.schema import Database

_SQL = load_queries("headrace_monitor.record.counters.sql")

# Minutes of one transaction.
STEP_MINUTES = 10


class MinuteObserver:
    """Writes observations. Replicas share the work: one locked row has the time up to which minutes are observed."""

    def __init__(self, database: Database, losses: Losses, metrics: CounterMetrics, clock: Clock) -> None:
        self._database, self._losses, self._metrics, self._clock = database, losses, metrics, clock

    async def step(self) -> None:
        """Observe all minutes that are due. Raises Unavailable; the next step does what is left."""
        while await self._observe() == STEP_MINUTES:
            pass

    async def _observe(self) -> int:
        """Observe some minutes; return how many."""
        async with self._database.transaction() as connection:
            now = self._clock.now()
            await connection.execute(_SQL["begin_observing"], minute_of(now - SETTLE))
            until = await connection.fetchval(_SQL["observed"])
            spans = due(until, now)[:STEP_MINUTES]
            for span in spans:
                await self._observe_minute(connection, span)
            if spans:
                until = spans[-1].end
                await connection.execute(_SQL["set_observed"], until)
        self._metrics.observed.set(until.timestamp())
        return len(spans)

    async def _observe_minute(self, connection: Any, span: Span) -> None:
        rows = await connection.fetch(_SQL["tallies_of_minute"], span.start)
        signals = signals_of(await asyncio.to_thread(_sums, rows), span)
        dropped, lost = await dropped_in(connection, span), await self._losses.lost_batches(connection, span)
        await Observations.put(connection, [*signals, *losses_of(dropped, lost, span)])


def _sums(rows: Sequence[Any]) -> Mapping[AnswerKey, Tally]:
    sums: Sums[AnswerKey] = Sums()
    sums.add((AnswerKey(row["model"], row["version"], row["code"]), tally_of(row)) for row in rows)
    return sums.items()
