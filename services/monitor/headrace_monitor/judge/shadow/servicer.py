"""GetShadowReport of MonitorService."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.times import DAY, HOUR, Span, later, span_of
from headrace_statistics.canary.intervals import clustered_bounds
from headrace_statistics.sketches.durations import Durations

from headrace_monitor import names
from headrace_monitor.judge.shadow.decisions.comparisons import Comparison, quantile
from headrace_monitor.judge.shadow.decisions.measures import rank_correlation
from headrace_monitor.judge.shadow.store import Comparisons, VersionPair

LEVEL = 0.05

Found = Mapping[VersionPair, Comparison]


class ShadowServicer:
    """Answers from what was compared."""

    def __init__(self, comparisons: Comparisons, clock: Clock) -> None:
        self._comparisons, self._clock = comparisons, clock

    async def GetShadowReport(self, request, context):
        model = names.model_id(request.parent, "parent")
        span = _whole_hours(span_of(request.range, "range", self._clock.now(), unset=DAY))
        found = await self._comparisons.of_model(model, span)
        wanted = {
            pair: one
            for pair, one in found.items()
            if not request.shadow_version or pair.shadow_version == request.shadow_version
        }
        return await asyncio.to_thread(_response, wanted)


def _response(found: Found) -> monitor_pb2.GetShadowReportResponse:
    return monitor_pb2.GetShadowReportResponse(comparisons=[to_proto(pair, one) for pair, one in found.items()])


def to_proto(pair: VersionPair, one: Comparison) -> monitor_pb2.ShadowComparison:
    """Return the message of a comparison."""
    low, high = clustered_bounds(one.flips.count, one.flips.of, one.flips_squared, LEVEL)
    proto = monitor_pb2.ShadowComparison(
        version=pair.version,
        shadow_version=pair.shadow_version,
        pairs=one.pairs,
        rows=one.rows,
        errors=one.errors,
        unlike=one.unlike,
        labelled_rows=one.flips.of,
        flips=one.flips.count,
        flips_squared=one.flips_squared,
        flip_rate_low=low,
        flip_rate_high=high,
        nan_rows=one.nan,
        difference=_quantiles(one.differences, one.same, 1.0),
        relative_difference=_quantiles(one.relative, one.same, 1.0),
        largest_difference=one.largest,
        rank_correlation=rank_correlation(one.sample),
        took_us=_quantiles(one.took, 0, 1e6),
        shadow_took_us=_quantiles(one.shadow_took, 0, 1e6),
    )
    for name, counts in sorted(one.slices.items(), key=lambda item: -item[1].rows):
        proto.slices.add(name=name, rows=counts.rows, flips=counts.flips, flips_squared=counts.flips_squared)
    for row in one.worst:
        proto.worst.add(
            prediction_id=row.prediction_id, row=row.row, answer=row.answer, shadow_answer=row.shadow_answer
        )
    for row in one.sample:
        proto.sample.add(value=row.value, shadow_value=row.shadow_value)
    return proto


def _quantiles(sketch: Durations, same: int, unit: float) -> monitor_pb2.ShadowComparison.Quantiles | None:
    p50, p95, p99 = (quantile(sketch, same, q) * unit for q in (0.5, 0.95, 0.99))
    return None if math.isnan(p50) else monitor_pb2.ShadowComparison.Quantiles(p50=p50, p95=p95, p99=p99)


def _whole_hours(span: Span) -> Span:
    start, end = (time.replace(minute=0, second=0, microsecond=0) for time in span)
    return Span(start, end if end == span.end else later(end, HOUR))
