"""GetPerformance of MonitorService."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.resource_names import invalid, is_id, shown
from headrace_servicekit.times import earlier, span_of
from headrace_statistics.slices import Explanation

from headrace_monitor import names
from headrace_monitor.alert.convert import to_severity
from headrace_monitor.judge.performance.calculator import PerformanceCalculator, PerformanceQuery
from headrace_monitor.judge.performance.decisions import error_slices
from headrace_monitor.judge.performance.decisions.error_rate import ErrorRateDetector
from headrace_monitor.judge.performance.decisions.hours import HourlyPerformance
from headrace_monitor.judge.performance.decisions.joins import Group
from headrace_monitor.judge.performance.decisions.measures import Measure, measures, score_groups
from headrace_monitor.judge.performance.decisions.reliability import ScoreGroup
from headrace_monitor.judge.performance.decisions.summaries import Summary
from headrace_monitor.judge.performance.store import PerformanceStore

MAX_SLICE_BY = 256
# What a time is compared with.
PAST = timedelta(days=7)
# Answers take a moment to send.
_SPARE_S = 0.2


class PerformanceServicer:
    """Answers from joined outcomes, within the deadline of the caller."""

    def __init__(self, calculator: PerformanceCalculator, kept: PerformanceStore, clock: Clock) -> None:
        self._calculator, self._kept, self._clock = calculator, kept, clock

    async def GetPerformance(self, request, context):
        query, remaining_s = self._question(request), context.time_remaining()
        within = None if remaining_s is None else max(remaining_s - _SPARE_S, 0.0)
        answer = await self._calculator.answer(query, within_s=within)
        blamed = {} if query.slice_by else await self._blamed(query)
        watches = {} if query.slice_by else await self._kept.watches(query.model)
        response = monitor_pb2.GetPerformanceResponse()
        for group in sorted(answer.groups):
            calibration = answer.about[group.version].calibration
            summary = answer.groups[group]
            said = await asyncio.to_thread(measures, summary, threshold=query.threshold, calibration=calibration)
            message = _performance(group, summary, said, blamed.get(group.version, ()))
            if group.version in watches:
                message.concept_drift.CopyFrom(_error_watch(*watches[group.version]))
            response.performance.append(message)
        return response

    def _question(self, request: monitor_pb2.GetPerformanceRequest) -> PerformanceQuery:
        model = names.model_id(request.parent, "parent")
        if request.version and not is_id(request.version):
            raise invalid("version", f"{shown(request.version)} is not the id of a version")
        if len(request.slice_by) > MAX_SLICE_BY:
            raise invalid("slice_by", f"has {len(request.slice_by)} characters; at most {MAX_SLICE_BY}")
        threshold = request.threshold if request.HasField("threshold") else None
        if threshold is not None and not math.isfinite(threshold):
            raise invalid("threshold", f"{threshold} is not a finite number")
        span = span_of(request.range, "range", self._clock.now())
        return PerformanceQuery(model, span.start, span.end, request.version, request.slice_by, threshold)

    async def _blamed(self, query: PerformanceQuery) -> dict[str, Sequence[Explanation]]:
        """Return the slices of each version whose error rate has risen against the days before."""
        past = await self._kept.hours(query.model, earlier(query.start, PAST), query.start)
        now = await self._kept.hours(query.model, query.start, query.end)
        return {
            version: error_slices.worse(_counts(past, version), _counts(now, version))
            for version in {hour.version for hour in now}
        }


def _counts(hours: Sequence[HourlyPerformance], version: str) -> error_slices.Counts:
    return error_slices.added(hour.slices for hour in hours if hour.version == version)


def _performance(
    group: Group, summary: Summary, said: Sequence[Measure], blamed: Sequence[Explanation]
) -> monitor_pb2.Performance:
    labelled = summary.labelled
    message = monitor_pb2.Performance(
        version=group.version,
        variant=group.variant,
        slice=group.slice,
        predictions=round(labelled.weight),
        labelled=round(labelled.weight * labelled.mean),
        maturity=labelled.mean,
    )
    for measure in said:
        message.measures.append(_measure(measure))
    message.score_groups.extend(map(_score_group, score_groups(summary)))
    for one in blamed:
        name = f"{one.slice.column}={one.slice.value}"
        message.slices.add(name=name, rows=one.rows, effect=one.now - one.before, share=one.explained)
    return message


def _score_group(group: ScoreGroup) -> monitor_pb2.Performance.ScoreGroup:
    return monitor_pb2.Performance.ScoreGroup(
        mean_score=group.score, share=group.share, lower=group.low, upper=group.high, rows=round(group.rows)
    )


def _error_watch(watch: ErrorRateDetector, update_time: datetime) -> monitor_pb2.Performance.ConceptDrift:
    message = monitor_pb2.Performance.ConceptDrift(
        summary=watch.sentence, rise=watch.rise, severity=to_severity(watch.severity)
    )
    message.update_time.FromDatetime(update_time)
    return message


def _measure(measure: Measure) -> monitor_pb2.Performance.Measure:
    return monitor_pb2.Performance.Measure(
        name=measure.name,
        value=measure.value,
        lower=measure.lower,
        upper=measure.upper,
        rows=measure.rows,
        note=measure.note,
    )
