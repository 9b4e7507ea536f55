"""Evaluate drift: compare a version's windows with its reference, and find the slices that explain an alarm."""

from __future__ import annotations

import asyncio
from dataclasses import replace
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
from headrace_statistics.references import Reference

from headrace_monitor.drift.decisions import explanation
from headrace_monitor.drift.decisions.evaluation import WEEK, DriftEvaluation, SliceEffect
from headrace_monitor.drift.store import DriftEvaluations
from headrace_monitor.log.decisions.sampling import evenly_sampled
from headrace_monitor.references.columns import MonitoredColumn
from headrace_monitor.references.log_rows import LogRows
from headrace_monitor.references.store import StoredReference
from headrace_monitor.windows.decisions.summarising import Window
from headrace_monitor.windows.store import Windows

if TYPE_CHECKING:
    import pyarrow as pa

log = structlog.get_logger()

# A season with fewer rows does not replace the reference.
MIN_SEASON_ROWS = 200
EXPLAIN_ROWS = 100_000
EXPLAIN_S = 20.0


class DriftEvaluator:
    """Evaluates windows, at most two at a time: each takes a core."""

    def __init__(self, windows: Windows, evaluations: DriftEvaluations, rows: LogRows, clock: Clock) -> None:
        self._windows, self._evaluations, self._rows, self._clock = windows, evaluations, rows, clock
        self._turns = FairTurns(2)

    async def evaluate(self, kept: StoredReference, start: datetime, end: datetime, level: float) -> DriftEvaluation:
        """Compare a time range with a reference. level: probability of a false alarm in it. Raises Unavailable."""
        async with self._turns.turn():
            window = await self._windows.total(kept.number, start, end)
            reference = await self._reference(kept, start, end)
            reports = await asyncio.to_thread(_reports, reference, window, level, kept.monitored)
            found = DriftEvaluation(
                *(kept.model, kept.version, kept.number, reference.source, start, end, window.rows, reports)
            )
            return replace(found, slices=await self._explained(kept, found)) if found.alarms else found

    async def _reference(self, kept: StoredReference, start: datetime, end: datetime) -> Reference:
        """Return the reference. A seasonal one has the counts of a week before, where they are known."""
        if not kept.seasonal:
            return kept.reference
        season = await self._windows.total(kept.number, start - WEEK, end - WEEK)
        if season.rows < MIN_SEASON_ROWS:
            return kept.reference
        name = f"{(start - WEEK).isoformat()}/{(end - WEEK).isoformat()}"
        summaries = {
            column: summary.thinned(1 / season.design_effects[column]) for column, summary in season.summaries.items()
        }
        made = references.seasonal(kept.reference, summaries, name=name, at=self._clock.now())
        # A column without data a week before is compared with the frozen reference.
        columns = {**kept.reference.columns, **made.columns}
        return Reference(made.source, made.name, made.frozen_at, columns, made.unfit)

    async def _explained(self, kept: StoredReference, found: DriftEvaluation) -> tuple[SliceEffect, ...]:
        """Return slices that explain the worst alarm, or none where that takes too long."""
        model, version = found.model, found.version
        alarm = explanation.explainable(found.alarms)
        column = next((each for each in kept.monitored if alarm is not None and each.name == alarm.column), None)
        last = await self._evaluations.last_without_alarm(model, version, found.reference, found.start)
        calm = last or kept.range
        if alarm is None or column is None or calm is None:
            return ()
        by = explanation.sliced_by(column, kept.monitored)
        wanted = explanation.wanted_columns(column, by)
        try:
            async with asyncio.timeout(EXPLAIN_S):
                before = await self._sample(found, calm, wanted)
                now = await self._sample(found, (found.start, found.end), wanted)
        except (TimeoutError, ServiceError) as error:
            log.warning("alarm not explained", model=model, version=version, error=type(error).__name__)
            return ()
        if before is None or now is None:
            return ()
        frozen = kept.reference.columns[column.name]
        return await asyncio.to_thread(explanation.explained, alarm, column, frozen, by, before, now)

    async def _sample(
        self, found: DriftEvaluation, of: tuple[datetime, datetime], columns: list[str]
    ) -> pa.Table | None:
        rows = self._rows.rows(found.model, found.version, *of, columns, most=EXPLAIN_ROWS)
        tables = [table async for table in rows]
        if not tables:
            return None
        # Seeded, so that explaining an evaluation again draws the same rows.
        rng = np.random.default_rng(found.reference)
        return await asyncio.to_thread(lambda: evenly_sampled(_one_table(tables), rng))


def _one_table(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables, promote_options="permissive")


def _reports(
    reference: Reference, window: Window, level: float, judged: tuple[MonitoredColumn, ...]
) -> tuple[DriftReport, ...]:
    predictions = [column.name for column in judged if column.prediction]
    effects = window.design_effects
    return evaluate(reference, window.summaries, level=level, predictions=predictions, design_effects=effects)
