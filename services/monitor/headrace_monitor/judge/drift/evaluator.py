"""Evaluate drift: compare a version's windows with its reference, and find the slices that explain an alarm."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
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

from headrace_monitor.judge.drift.decisions import explanation
from headrace_monitor.judge.drift.decisions.evaluation import (
    DAY,
    WEEK,
    DriftEvaluation,
    SliceEffect,
    seasonal_advice,
)
from headrace_monitor.judge.drift.decisions.tolerances import ToleranceRule, tolerances_of
from headrace_monitor.judge.drift.postgres import DriftTolerances
from headrace_monitor.judge.drift.store import EvaluationStore
from headrace_monitor.judge.references.columns import MonitoredColumn
from headrace_monitor.judge.references.log_rows import LogRows
from headrace_monitor.judge.references.store import StoredReference
from headrace_monitor.judge.windows.decisions.window_summaries import Window
from headrace_monitor.judge.windows.store import WindowStore
from headrace_monitor.record.log.decisions.sampled_rows import evenly_sampled

if TYPE_CHECKING:
    import pyarrow as pa

log = structlog.get_logger()

# A season with fewer rows does not replace the reference.
MIN_SEASON_ROWS = 200
EXPLAIN_ROWS = 100_000
EXPLAIN_S = 20.0


class DriftEvaluator:
    """Evaluates windows, at most two at a time: each takes a core."""

    def __init__(
        self,
        windows: WindowStore,
        evaluations: EvaluationStore,
        tolerances: DriftTolerances,
        rows: LogRows,
        clock: Clock,
    ) -> None:
        self._windows, self._evaluations, self._tolerances = windows, evaluations, tolerances
        self._rows, self._clock = rows, clock
        self._turns = FairTurns(2)

    async def evaluate(self, stored: StoredReference, start: datetime, end: datetime, level: float) -> DriftEvaluation:
        """Evaluate the drift of a time range from a reference. level: false alarm probability. Raises Unavailable."""
        async with self._turns.turn():
            window = await self._windows.total(stored.number, start, end)
            reference = await self._reference(stored, start, end)
            rules = await self._tolerances.of(stored.model)
            reports = await asyncio.to_thread(_reports, reference, window, level, stored.monitored, rules)
            found = DriftEvaluation(
                *(stored.model, stored.version, stored.number, reference.source, start, end, window.rows, reports)
            )
            if not found.alarms:
                return found
            advice = await self._advice(stored, window, found, level, rules)
            return replace(found, slices=await self._explained(stored, found), advice=advice)

    async def _advice(
        self,
        stored: StoredReference,
        window: Window,
        found: DriftEvaluation,
        level: float,
        rules: Sequence[ToleranceRule],
    ) -> str:
        """Return advice if the same time a day or week ago had the same distribution; empty otherwise."""
        if stored.seasonal:
            return ""
        for ago in (WEEK, DAY):
            season = await self._season(stored, found.start, found.end, ago)
            if season is None:
                continue
            reports = await asyncio.to_thread(_reports, season, window, level, stored.monitored, rules)
            if not any(report.alarm for report in reports):
                return seasonal_advice(stored.model, stored.version, ago)
        return ""

    async def _reference(self, stored: StoredReference, start: datetime, end: datetime) -> Reference:
        """Return the reference; a seasonal one with the counts of the week before, if they are known."""
        season = await self._season(stored, start, end, WEEK) if stored.seasonal else None
        return stored.reference if season is None else season

    async def _season(
        self, stored: StoredReference, start: datetime, end: datetime, ago: timedelta
    ) -> Reference | None:
        """Return the reference with the counts of an earlier time; None if they are fewer than MIN_SEASON_ROWS."""
        season = await self._windows.total(stored.number, start - ago, end - ago)
        if season.rows < MIN_SEASON_ROWS:
            return None
        effects = season.design_effects(stored.reference.columns)
        summaries = {column: summary.thinned(1 / effects[column]) for column, summary in season.summaries.items()}
        name = f"{(start - ago).isoformat()}/{(end - ago).isoformat()}"
        made = references.seasonal(stored.reference, summaries, name=name, at=self._clock.now())
        # A column without data at that time is compared with the frozen reference.
        columns = {**stored.reference.columns, **made.columns}
        return Reference(made.source, made.name, made.frozen_at, columns, made.unfit)

    async def _explained(self, stored: StoredReference, found: DriftEvaluation) -> tuple[SliceEffect, ...]:
        """Return slices that explain the worst alarm; none if that takes longer than EXPLAIN_S."""
        model, version = found.model, found.version
        alarm = explanation.explainable(found.alarms)
        column = next((each for each in stored.monitored if alarm is not None and each.name == alarm.column), None)
        last = await self._evaluations.last_without_alarm(model, version, found.reference, found.start)
        calm = last or stored.range
        if alarm is None or column is None or calm is None:
            return ()
        by = explanation.sliced_by(column, stored.monitored)
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
        frozen = stored.reference.columns[column.name]
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
    reference: Reference,
    window: Window,
    level: float,
    judged: tuple[MonitoredColumn, ...],
    rules: Sequence[ToleranceRule],
) -> tuple[DriftReport, ...]:
    predictions = [column.name for column in judged if column.prediction]
    return evaluate(
        reference,
        window.summaries,
        level=level,
        tolerances=tolerances_of(rules, ""),
        predictions=predictions,
        design_effects=window.design_effects(reference.columns),
        column_tolerances={name: tolerances_of(rules, name) for name in reference.columns} if rules else {},
    )
