"""Gather the content of a report from the other parts of the monitor. A part that is away is named as missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import PreconditionFailed, ServiceError
from headrace_servicekit.identity import Identity

from headrace_monitor.report import convert
from headrace_monitor.report.content import (
    AlertRow,
    MissingPart,
    Report,
    Traffic,
    VersionDrift,
    VersionPerformance,
    buckets_of,
    occupied,
)
from headrace_monitor.report.sources import (
    AlertSource,
    DriftSource,
    HistogramSource,
    PerformanceSource,
    TrafficSource,
)
from headrace_monitor.times import Span

log = structlog.get_logger()

T = TypeVar("T")

# Each part of the page has this long; all are asked at once.
PART_S = 20.0
# Times that traffic is looked at, each within what the one before found.
_MOST_LOOKS = 3
MOST_VERSIONS, MOST_EVALUATIONS, MOST_ALERTS, MOST_HISTOGRAMS = 6, 200, 200, 6


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts of the monitor; None for one that this installation does not have."""

    traffic: TrafficSource
    alerts: AlertSource
    drift: DriftSource | None = None
    histograms: HistogramSource | None = None
    performance: PerformanceSource | None = None


class ReportBuilder:
    """Builds the content of reports."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._sources, self._clock = sources, clock

    async def report(self, model: str, span: Span, caller: Identity) -> Report:
        """Return what is known of a model in a time."""
        traffic, performance, alerts = await asyncio.gather(
            _asked(self._traffic(model, span)),
            _asked(self._performance(model, span)),
            _asked(self._alerts(model, span, caller)),
        )
        drift = await _asked(self._drift(model, span, traffic, performance))
        return Report(model, span.start, span.end, self._clock.now(), traffic, drift, performance, alerts)

    async def _traffic(self, model: str, span: Span) -> Traffic:
        whole = await self._sources.traffic.traffic(model, span)
        buckets, seen, within = (), [], span
        # A model that was asked for ten minutes of a day is shown by the minute, not as one bar among empty places.
        for _ in range(_MOST_LOOKS if whole.traffic else 0):
            buckets = buckets_of(within, self._clock.now())
            seen = [await self._sources.traffic.traffic(model, bucket) for bucket in buckets]
            filled = occupied(buckets, [any(one.count for one in each.traffic) for each in seen])
            if not filled:
                break
            at = buckets.index(filled[0])
            buckets, seen = filled, seen[at : at + len(filled)]
            narrower = Span(max(filled[0].start, span.start), min(filled[-1].end, span.end))
            if len(buckets_of(narrower, self._clock.now())) <= len(filled):
                break
            within = narrower
        return convert.traffic(buckets, seen, whole)

    async def _performance(self, model: str, span: Span) -> tuple[VersionPerformance, ...]:
        source = _there(self._sources.performance, "performance")
        request = monitor_pb2.GetPerformanceRequest(parent=f"models/{model}", range=convert.time_range(span))
        return convert.performance(await source.get(request, PART_S))

    async def _alerts(self, model: str, span: Span, caller: Identity) -> tuple[AlertRow, ...]:
        found = await self._sources.alerts.alerts(caller, before=None, model=model, is_open=None, size=MOST_ALERTS)
        return convert.alerts(found, span)

    async def _drift(
        self,
        model: str,
        span: Span,
        traffic: Traffic | MissingPart,
        performance: tuple[VersionPerformance, ...] | MissingPart,
    ) -> tuple[VersionDrift, ...]:
        source = _there(self._sources.drift, "drift")
        versions = convert.versions(traffic, performance)[:MOST_VERSIONS]
        return tuple([await self._of_version(source, model, version, span) for version in versions])

    async def _of_version(self, source: DriftSource, model: str, version: str, span: Span) -> VersionDrift:
        name = f"models/{model}/versions/{version}"
        listed = await source.list_drift(monitor_pb2.ListDriftRequest(parent=name, page_size=MOST_EVALUATIONS))
        evaluations = convert.evaluations(listed.drifts, span)
        if not evaluations:  # none scheduled yet: evaluate now
            request = monitor_pb2.GetDriftRequest(name=name, range=convert.time_range(span))
            try:
                evaluations = (convert.evaluation((await source.get_drift(request)).drift),)
            except PreconditionFailed as error:
                return VersionDrift(version, (), (), error.public_message)
        columns = convert.worst_columns(evaluations[0])[:MOST_HISTOGRAMS]
        if self._sources.histograms is None or not columns:
            return VersionDrift(version, evaluations, ())
        shown = self._sources.histograms.histograms(model, version, evaluations[0].start, evaluations[0].end, columns)
        return VersionDrift(version, evaluations, await shown)


async def _asked(part: Awaitable[T]) -> T | MissingPart:
    """Return a part of the report, or why it is not there."""
    try:
        async with asyncio.timeout(PART_S):
            return await part
    except ServiceError as error:
        return MissingPart(error.public_message)
    except TimeoutError:
        return MissingPart(f"no answer within {PART_S:g} s; a shorter time is faster")
    except Exception as error:  # one part must not take the page with it
        log.error("a part of a report failed", exc_info=error)
        return MissingPart("a defect of the monitor: its log has the cause")


def _there(source: T | None, what: str) -> T:
    if source is None:
        raise PreconditionFailed(f"this monitor does not know of {what}", reason="PART_MISSING")
    return source
