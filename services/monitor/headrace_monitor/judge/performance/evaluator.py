"""Evaluate the performance of each hour when it is over, and again when new outcomes come.

So a label that comes seven days late counts in the hour of its prediction. An hour that is not over is stored but not
observed: alert rules use the first observation of an hour only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.postgres.connections import Connections
from headrace_statistics.calibration import Calibration, LabelledScores, labelled
from headrace_statistics.sketches.features import labelled_rows

from headrace_monitor.alert.observations import Observation, Observations
from headrace_monitor.judge.performance.calculator import OutcomeJoiner, PerformanceCalculator, PerformanceQuery
from headrace_monitor.judge.performance.decisions import error_slices, pooled_calibration
from headrace_monitor.judge.performance.decisions.error_slices import Evidence, evidence_of
from headrace_monitor.judge.performance.decisions.hours import HourlyPerformance, StaleHour, observations_of
from headrace_monitor.judge.performance.decisions.joins import features_of
from headrace_monitor.judge.performance.decisions.measures import Measure, measures
from headrace_monitor.judge.performance.decisions.summaries import Summary
from headrace_monitor.judge.performance.store import PerformanceStore, write_calibration, write_hours
from headrace_monitor.judge.references.feature_codes import FeatureCoding
from headrace_monitor.record.log.contracts import ContractSource

HOUR = timedelta(hours=1)
# Time after an hour until its predictions are in the log.
SETTLE = timedelta(minutes=5)
# Older hours, after a long stop of all monitors, are not evaluated any more.
CATCH_UP = timedelta(days=1)
# How far back an hour is compared, and how far back its labels calibrate scores.
PAST = timedelta(days=7)
# Labelled rows of one hour that are read for that.
CALIBRATION_ROWS = 20_000
# Those of them whose features are kept: a calibration keeps as many as a hundred hours have.
SAMPLE_ROWS = 200
MAX_HOURS_A_STEP = 24


class HourEvaluator:
    """Evaluates hours, stores the results, and writes observations for alert rules."""

    def __init__(
        self,
        connections: Connections,
        joins: OutcomeJoiner,
        calculator: PerformanceCalculator,
        kept: PerformanceStore,
        contracts: ContractSource,
        clock: Clock,
    ) -> None:
        self._connections, self._joins, self._calculator = connections, joins, calculator
        self._kept, self._contracts, self._clock = kept, contracts, clock

    async def step(self) -> None:
        """Evaluate the hours that are due."""
        now = self._clock.now()
        await self._kept.mark_new_hours(now - CATCH_UP, now - SETTLE - HOUR, now)
        for _ in range(MAX_HOURS_A_STEP):
            async with self._kept.claimed_hour(now) as stale:
                if stale is None:
                    return
                await self._evaluate(stale)

    async def _evaluate(self, stale: StaleHour) -> None:
        """Evaluate one hour."""
        now = self._clock.now()
        over = now >= stale.hour + HOUR + SETTLE
        answer = await self._calculator.answer(PerformanceQuery(stale.model, stale.hour, stale.hour + HOUR))
        past = await self._kept.hours(stale.model, stale.hour - PAST, stale.hour)
        hours: list[HourlyPerformance] = []
        observed: list[Observation] = []
        calibrations: dict[str, Calibration] = {}
        for version in sorted({group.version for group in answer.groups}):
            groups = {group.variant: summary for group, summary in answer.groups.items() if group.version == version}
            evidence = await self._evidence(stale, version) if version else []
            about = answer.about[version]
            counts = error_slices.added(one.counts for one in evidence)
            scores = await asyncio.to_thread(_scores, evidence, about.coding)
            for variant, summary in groups.items():
                said = await asyncio.to_thread(measures, summary, threshold=None, calibration=about.calibration)
                hours.append(_hour(stale.hour, version, variant, summary, said, counts, scores))
                counts, scores = {}, None  # of the version as a whole: kept once
            whole = _merged(groups.values())
            said = await asyncio.to_thread(measures, whole, threshold=None, calibration=about.calibration)
            before = [hour for hour in past if hour.version == version]
            observed += observations_of(stale, version, whole, said, before, hours, now) if over else []
            ours = [hour for hour in hours if hour.version == version]
            fitted = await asyncio.to_thread(pooled_calibration.fitted, [*before, *ours], stale.hour, now)
            if isinstance(fitted, Calibration):
                calibrations[version] = fitted
        async with self._connections.transaction() as connection:
            await write_hours(connection, stale, hours, now, over=over)
            for version, calibration in calibrations.items():
                await write_calibration(connection, stale, version, calibration, now)
            await Observations.put(connection, observed)

    async def _evidence(self, stale: StaleHour, version: str) -> list[Evidence]:
        return await self._gathered(stale.model, version, stale.hour, stale.hour + HOUR)

    async def _gathered(self, model: str, version: str, start: datetime, end: datetime) -> list[Evidence]:
        categorical, about = await self._categorical(model, version), await self._calculator.about(model, version)
        found: list[Evidence] = []
        rows = 0
        query = PerformanceQuery(model, start, end, version)

        async def columns(_version: str) -> list[str]:
            return ["attributes", *(f"feature.{column}" for column in categorical), *features_of(about)]

        async for batch, outcomes in self._joins.each(query, columns):
            if outcomes and rows < CALIBRATION_ROWS:
                found.append(await asyncio.to_thread(evidence_of, batch, outcomes, about, categorical))
                rows += found[-1].score.size
        return found

    async def _categorical(self, model: str, version: str) -> list[str]:
        known = await self._contracts.get(model, version)
        if known is None:
            return []
        return [column.name for column in known.features if column.kind == tensor_pb2.TensorSpec.KIND_CATEGORICAL]


def _scores(evidence: Iterable[Evidence], coding: FeatureCoding | None) -> LabelledScores | None:
    pairs = [one for one in evidence if one.score.size]
    if not pairs:
        return None
    score, answer = np.concatenate([one.score for one in pairs]), np.concatenate([one.answer for one in pairs])
    found, codes = labelled(score, answer), [one.codes for one in pairs if one.codes is not None]
    if coding is None or len(codes) != len(pairs):
        return found
    rows = labelled_rows(score, answer, np.concatenate(codes), coding.names, coding.digest)
    return replace(found, sample=rows.drawn(SAMPLE_ROWS))


def _merged(summaries: Iterable[Summary]) -> Summary:
    whole = Summary()
    for summary in summaries:
        whole = whole.merge(summary)
    return whole


def _hour(
    hour: datetime,
    version: str,
    variant: str,
    summary: Summary,
    said: Sequence[Measure],
    counts: error_slices.Counts,
    scores: LabelledScores | None,
) -> HourlyPerformance:
    known = summary.labelled
    sums = (known.weight, known.weight * known.mean)
    return HourlyPerformance(hour, version, variant, *sums, tuple(said), counts, known.rows, scores)
