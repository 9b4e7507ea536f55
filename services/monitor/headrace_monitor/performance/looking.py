"""Hours of predictions are looked at when they are over, and again whenever something new is told about them: so a
label that comes seven days late counts in the hour of its prediction. Of an hour that is not over only what is kept of
it grows: alert rules take the first that they are told of an hour for all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.postgres.connections import Connections
from headrace_statistics.calibration import Calibration, calibrate

from headrace_monitor.alerts.observations import Observation, Observations
from headrace_monitor.log.contracts import ContractSource
from headrace_monitor.performance import blaming
from headrace_monitor.performance.blaming import Evidence, evidence_of
from headrace_monitor.performance.measures import Measure, measures
from headrace_monitor.performance.observed import observations_of
from headrace_monitor.performance.store import Hour, PerformanceStore, Touched, write_calibration, write_hours
from headrace_monitor.performance.summaries import Summary
from headrace_monitor.performance.tracking import Joins, Question, Tracker

HOUR = timedelta(hours=1)
# Predictions of an hour are in the log a while after it.
SETTLE = timedelta(minutes=5)
# Older hours, after a long stop of all monitors, are nobody's news any more.
CATCH_UP = timedelta(days=1)
# What an hour is compared with, and how far back pairs to calibrate on are sought.
PAST = timedelta(days=7)
CALIBRATION_PAST = timedelta(hours=24)
CALIBRATION_ROWS = 20_000
MAX_HOURS_A_STEP = 24


class Looks:
    """Looks at hours, keeps what it found, and lets alert rules know."""

    def __init__(
        self,
        connections: Connections,
        joins: Joins,
        tracker: Tracker,
        kept: PerformanceStore,
        contracts: ContractSource,
        clock: Clock,
    ) -> None:
        self._connections, self._joins, self._tracker = connections, joins, tracker
        self._kept, self._contracts, self._clock = kept, contracts, clock

    async def step(self) -> None:
        """Look at the hours that are due."""
        now = self._clock.now()
        await self._kept.touch_unseen(now - CATCH_UP, now - SETTLE - HOUR, now)
        for _ in range(MAX_HOURS_A_STEP):
            touched = await self._kept.claim_hour(now)
            if touched is None:
                return
            await self.look(touched)

    async def look(self, touched: Touched) -> None:
        """Look at one hour."""
        now = self._clock.now()
        over = now >= touched.hour + HOUR + SETTLE
        answer = await self._tracker.answer(Question(touched.model, touched.hour, touched.hour + HOUR))
        past = await self._kept.hours(touched.model, touched.hour - PAST, touched.hour)
        hours: list[Hour] = []
        observed: list[Observation] = []
        calibrations: dict[str, Calibration] = {}
        for version in sorted({group.version for group in answer.groups}):
            groups = {group.variant: summary for group, summary in answer.groups.items() if group.version == version}
            evidence = await self._evidence(touched, version) if version else []
            about = answer.about[version]
            counts = blaming.added(one.counts for one in evidence)
            for variant, summary in groups.items():
                said = measures(summary, threshold=None, calibrated=about.calibration is not None)
                hours.append(_hour(touched.hour, version, variant, summary, said, counts))
                counts = {}  # of the version as a whole: kept once
            whole = _merged(groups.values())
            said = measures(whole, threshold=None, calibrated=about.calibration is not None)
            before = [hour for hour in past if hour.version == version]
            observed += observations_of(touched, version, whole, said, before, hours, now) if over else []
            fitted = await self._calibrated(touched, version, evidence)
            if fitted is not None:
                calibrations[version] = fitted
        async with self._connections.transaction() as connection:
            await write_hours(connection, touched, hours, now, over=over)
            for version, calibration in calibrations.items():
                await write_calibration(connection, touched, version, calibration, now)
            await Observations.put(connection, observed)

    async def _evidence(self, touched: Touched, version: str) -> list[Evidence]:
        return await self._gathered(touched.model, version, touched.hour, touched.hour + HOUR)

    async def _calibrated(self, touched: Touched, version: str, evidence: Sequence[Evidence]) -> Calibration | None:
        """Return a calibration on the labelled rows of the hour, and of the day before where these are too few."""
        if not any(one.score.size for one in evidence):
            return None
        fitted = await asyncio.to_thread(_fit, evidence)
        if isinstance(fitted, Calibration):
            return fitted
        start, end = touched.hour - CALIBRATION_PAST, touched.hour + HOUR
        fitted = await asyncio.to_thread(_fit, await self._gathered(touched.model, version, start, end))
        return fitted if isinstance(fitted, Calibration) else None

    async def _gathered(self, model: str, version: str, start: datetime, end: datetime) -> list[Evidence]:
        categorical, about = await self._categorical(model, version), await self._tracker.about(model, version)
        found: list[Evidence] = []
        rows = 0
        question = Question(model, start, end, version)

        async def columns(_version: str) -> list[str]:
            return ["attributes", *(f"feature.{column}" for column in categorical)]

        async for batch, facts in self._joins.each(question, columns):
            if facts and rows < CALIBRATION_ROWS:
                found.append(await asyncio.to_thread(evidence_of, batch, facts, about, categorical))
                rows += found[-1].score.size
        return found

    async def _categorical(self, model: str, version: str) -> list[str]:
        known = await self._contracts.get(model, version)
        if known is None:
            return []
        return [column.name for column in known.features if column.kind == tensor_pb2.TensorSpec.KIND_CATEGORICAL]


def _fit(evidence: Iterable[Evidence]) -> object:
    pairs = list(evidence)
    if not pairs:
        return None
    score = np.concatenate([one.score for one in pairs])[-CALIBRATION_ROWS:]
    answer = np.concatenate([one.answer for one in pairs])[-CALIBRATION_ROWS:]
    return calibrate(score, answer)


def _merged(summaries: Iterable[Summary]) -> Summary:
    whole = Summary()
    for summary in summaries:
        whole = whole.merge(summary)
    return whole


def _hour(
    hour: datetime, version: str, variant: str, summary: Summary, said: Sequence[Measure], counts: blaming.Counts
) -> Hour:
    slices = {column: {value: tuple(told) for value, told in values.items()} for column, values in counts.items()}
    labelled = summary.labelled
    sums = (labelled.weight, labelled.weight * labelled.mean)
    return Hour(hour, version, variant, *sums, tuple(said), slices, labelled.rows)
