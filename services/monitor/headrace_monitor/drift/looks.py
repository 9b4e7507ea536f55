"""Looks at times of a version: its windows against its reference, and the slices that explain what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.fair_share import FairTurns
from headrace_statistics import references
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.drift.reports import DriftReport
from headrace_statistics.references import Reference, Summary

from headrace_monitor.drift import explaining
from headrace_monitor.drift.looking import WEEK, Look, Slice
from headrace_monitor.drift.store import Looks
from headrace_monitor.log.sampling import evenly_sampled
from headrace_monitor.references.judged import Judged
from headrace_monitor.references.log_rows import LogRows
from headrace_monitor.references.store import KeptReference
from headrace_monitor.windows.store import Windows

if TYPE_CHECKING:
    import pyarrow as pa

log = structlog.get_logger()

# Of a season with fewer rows too little is known to take the place of the reference.
MIN_SEASON_ROWS = 200
EXPLAIN_ROWS = 100_000
EXPLAIN_S = 20.0


class Looker:
    """Looks at windows. At most two looks are judged at a time: each takes a core."""

    def __init__(self, windows: Windows, looks: Looks, rows: LogRows, clock: Clock) -> None:
        self._windows, self._looks, self._rows, self._clock = windows, looks, rows, clock
        self._turns = FairTurns(2)

    async def look(self, kept: KeptReference, start: datetime, end: datetime, level: float) -> Look:
        """Hold a time against a reference. level: of a false alarm of the whole look. Raises Unavailable."""
        async with self._turns.turn():
            window = await self._windows.total(kept.number, start, end)
            held = await self._held_against(kept, start, end)
            reports = await asyncio.to_thread(_judged, held, window.summaries, level, kept.judged)
            source = held.source
            look = Look(kept.model, kept.version, kept.number, source, start, end, window.rows, reports)
            if not look.alarms:
                return look
            slices = await self._explained(kept, look)
        return Look(kept.model, kept.version, kept.number, source, start, end, window.rows, reports, slices)

    async def _held_against(self, kept: KeptReference, start: datetime, end: datetime) -> Reference:
        """Return the reference, with the counts of a week before where it is seasonal and they are known."""
        if not kept.seasonal:
            return kept.reference
        season = await self._windows.total(kept.number, start - WEEK, end - WEEK)
        if season.rows < MIN_SEASON_ROWS:
            return kept.reference
        name = f"{(start - WEEK).isoformat()}/{(end - WEEK).isoformat()}"
        made = references.seasonal(kept.reference, season.summaries, name=name, at=self._clock.now())
        # A column of which the week before knew nothing is held against what was frozen.
        columns = {**kept.reference.columns, **made.columns}
        return Reference(made.source, made.name, made.frozen_at, columns, made.unfit)

    async def _explained(self, kept: KeptReference, look: Look) -> tuple[Slice, ...]:
        """Return slices that explain the worst alarm, or none where that takes too long."""
        alarm = explaining.explainable(look.alarms)
        column = next((each for each in kept.judged if alarm is not None and each.name == alarm.column), None)
        well = await self._looks.last_well(look.model, look.version, look.reference, look.start) or kept.range
        if alarm is None or column is None or well is None:
            return ()
        by = explaining.sliced_by(column, kept.judged)
        wanted = explaining.wanted_columns(column, by)
        try:
            async with asyncio.timeout(EXPLAIN_S):
                before = await self._sample(look, well, wanted)
                now = await self._sample(look, (look.start, look.end), wanted)
        except (TimeoutError, ServiceError) as error:
            log.warning("alarm not explained", model=look.model, version=look.version, error=type(error).__name__)
            return ()
        if before is None or now is None:
            return ()
        frozen = kept.reference.columns[column.name]
        return await asyncio.to_thread(explaining.explained, alarm, column, frozen, by, before, now)

    async def _sample(self, look: Look, of: tuple[datetime, datetime], columns: list[str]) -> pa.Table | None:
        tables = [table async for table in self._rows.rows(look.model, look.version, *of, columns, most=EXPLAIN_ROWS)]
        if not tables:
            return None
        # The same rows whenever the same look is explained.
        rng = np.random.default_rng(look.reference)
        return await asyncio.to_thread(lambda: evenly_sampled(_one_table(tables), rng))


def _one_table(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables, promote_options="permissive")


def _judged(
    held: Reference, summaries: Mapping[str, Summary], level: float, judged: tuple[Judged, ...]
) -> tuple[DriftReport, ...]:
    predictions = [column.name for column in judged if column.prediction]
    return evaluate(held, summaries, level=level, predictions=predictions)
