"""Convert answers of the parts of the monitor to the content of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC

import grpc
from headrace.monitor.v1 import monitor_pb2
from headrace.router.v1 import predict_pb2
from headrace_statistics.severity import Severity

from headrace_monitor.alert.decisions.values import AlertView
from headrace_monitor.record.counters.decisions import traffic as counted
from headrace_monitor.record.counters.reading import TrafficSummary
from headrace_monitor.report.content import (
    AlertRow,
    Bucket,
    ColumnDrift,
    EvaluationRow,
    Measure,
    MissingPart,
    SliceDrift,
    Traffic,
    TrafficRow,
    VersionPerformance,
)
from headrace_monitor.times import Span

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
_SOURCES = predict_pb2.PredictResponse.ServedFrom
_ONLINE = predict_pb2.PredictResponse.SERVED_FROM_ONLINE
_SEVERITIES = {
    monitor_pb2.SEVERITY_LOW: Severity.LOW,
    monitor_pb2.SEVERITY_MEDIUM: Severity.MEDIUM,
    monitor_pb2.SEVERITY_HIGH: Severity.HIGH,
}
_AGAINST = {
    monitor_pb2.Reference.SOURCE_ARTIFACT: "its artifact reference.parquet",
    monitor_pb2.Reference.SOURCE_WINDOW: "predictions of a chosen time",
    monitor_pb2.Reference.SOURCE_SEASON: "the same hour a week before",
}


def time_range(span: Span) -> monitor_pb2.TimeRange:
    """Return a time as a message."""
    made = monitor_pb2.TimeRange()
    made.start_time.FromDatetime(span.start)
    made.end_time.FromDatetime(span.end)
    return made


def traffic(buckets: Sequence[Span], seen: Sequence[TrafficSummary], whole: TrafficSummary) -> Traffic:
    """Return the traffic of a time. seen: of each bucket. whole: of all of it."""
    rows = tuple(_row(one) for one in sorted(whole.traffic, key=lambda one: -one.count))
    online = Counter[str]()
    for row in rows:
        if row.code == "OK" and row.source == "online":
            online[row.version] += row.count
    busiest = online.most_common(1)[0][0] if online else ""
    parts = tuple(_bucket(span, each, busiest) for span, each in zip(buckets, seen, strict=True))
    return Traffic(parts, rows, busiest, whole.dropped_predictions, whole.lost_batches)


def versions(
    traffic: Traffic | MissingPart, performance: tuple[VersionPerformance, ...] | MissingPart
) -> tuple[str, ...]:
    """Return the versions that answered, those that answered most first."""
    counts = Counter[str]()
    if isinstance(traffic, Traffic):
        for row in traffic.rows:
            counts[row.version] += row.count if row.code == "OK" else 0
    if not isinstance(performance, MissingPart):  # counters may be kept for less long than the log
        logged = Counter[str]()
        for one in performance:
            logged[one.version] += one.predictions
        counts |= logged
    return tuple(version for version, count in counts.most_common() if version and count)


def evaluations(drifts: Iterable[monitor_pb2.Drift], span: Span) -> tuple[EvaluationRow, ...]:
    """Return the evaluations that end in a time, the latest first."""
    found = (evaluation(drift) for drift in drifts)
    return tuple(one for one in found if span.start < one.end <= span.end)


def evaluation(drift: monitor_pb2.Drift) -> EvaluationRow:
    """Return one evaluation."""
    return EvaluationRow(
        drift.range.start_time.ToDatetime(UTC),
        drift.range.end_time.ToDatetime(UTC),
        drift.rows,
        _AGAINST.get(drift.reference, "its reference"),
        _SEVERITIES.get(drift.severity, Severity.NONE),
        tuple(map(_column, drift.reports)),
        _slices(drift.slices),
    )


def worst_columns(one: EvaluationRow) -> tuple[str, ...]:
    """Return the columns with a conclusive test, those that changed most first; each once."""

    def change(column: ColumnDrift) -> tuple[bool, int, float]:
        ratio = (column.effect or 0.0) / column.tolerance if column.tolerance else 0.0
        return column.alarm, column.severity, ratio

    conclusive = sorted((column for column in one.columns if not column.inconclusive), key=change, reverse=True)
    return tuple(dict.fromkeys(column.column for column in conclusive))


def performance(answer: monitor_pb2.GetPerformanceResponse) -> tuple[VersionPerformance, ...]:
    """Return how good predictions were, by version and variant."""
    return tuple(
        VersionPerformance(
            *(one.version, one.variant, one.predictions, one.labelled, one.maturity),
            measures=tuple(map(_measure, one.measures)),
            slices=_slices(one.slices),
            watch=one.concept_drift.summary,
            severity=_SEVERITIES.get(one.concept_drift.severity, Severity.NONE),
        )
        for one in answer.performance
    )


def alerts(found: Iterable[AlertView], span: Span) -> tuple[AlertRow, ...]:
    """Return the alerts that were open in a time: those that still are come first."""
    rows = [
        AlertRow(
            *(one.alert.key.rule, one.alert.key.version, one.alert.severity, one.alert.summary),
            *(one.alert.open_time, one.alert.resolve_time, one.silenced),
        )
        for one in found
        if one.alert.open_time < span.end and (one.alert.resolve_time or span.end) >= span.start
    ]
    return tuple(
        sorted(rows, key=lambda row: (row.resolve_time is not None, -row.severity, -row.open_time.timestamp()))
    )


def _row(one: counted.Traffic) -> TrafficRow:
    group = one.group
    return TrafficRow(
        *(group.version, group.variant, _source(group.served_from), _CODES.get(group.code, str(group.code))),
        *(one.count, one.p50_us, one.p95_us, one.p99_us),
    )


def _bucket(span: Span, seen: TrafficSummary, busiest: str) -> Bucket:
    counts = Counter[tuple[str, str]]()
    failures, refused, online = 0, 0, []
    for one in seen.traffic:
        if one.group.code in counted.FAULTS:
            failures += one.count
            continue
        if one.group.code:
            refused += one.count
            continue
        counts[one.group.version, _source(one.group.served_from)] += one.count
        if one.group.served_from == _ONLINE and one.group.version == busiest and one.count:
            online.append(one)
    # Of several variants of a version, the one with most answers.
    most = max(online, key=lambda one: one.count, default=None)
    quantiles = None if most is None else (most.p50_us, most.p95_us, most.p99_us)
    return Bucket(span.start, dict(counts), failures, quantiles, refused)


def _source(number: int) -> str:
    """Return `online`, `cache` and the like; empty for an answer that came from nowhere."""
    name = _SOURCES.Name(number) if number in _SOURCES.values() else str(number)
    return "" if number == 0 else name.removeprefix("SERVED_FROM_").lower()


def _slices(slices: Iterable[monitor_pb2.Slice]) -> tuple[SliceDrift, ...]:
    return tuple(SliceDrift(one.name, one.rows, one.effect, one.share) for one in slices)


def _column(report: monitor_pb2.DriftReport) -> ColumnDrift:
    return ColumnDrift(
        *(report.column, report.kind, report.test),
        effect=report.effect if report.HasField("effect") else None,
        tolerance=report.tolerance,
        adjusted_p=report.adjusted_p if report.HasField("adjusted_p") else None,
        alarm=report.alarm,
        severity=_SEVERITIES.get(report.severity, Severity.NONE),
        inconclusive=report.inconclusive,
        examples=tuple(report.examples),
        design_effect=max(report.design_effect, 1.0),  # 0 in evaluations of older releases
    )


def _measure(one: monitor_pb2.Performance.Measure) -> Measure:
    value, lower, upper = (
        getattr(one, field) if one.HasField(field) else None for field in ("value", "lower", "upper")
    )
    return Measure(one.name, value, lower, upper, one.rows, one.note)
