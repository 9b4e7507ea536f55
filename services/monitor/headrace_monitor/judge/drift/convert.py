"""Convert between messages and drift evaluations and references."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.resource_names import invalid
from headrace_servicekit.times import span_of
from headrace_statistics.drift.reports import DriftReport
from headrace_statistics.references import Source

from headrace_monitor.alert.convert import to_severity
from headrace_monitor.judge.drift.decisions.evaluation import DriftEvaluation
from headrace_monitor.judge.drift.decisions.histograms import Histogram
from headrace_monitor.judge.drift.decisions.tolerances import Detectable
from headrace_monitor.judge.references.store import StoredReference

DEFAULT_LEVEL = 0.05
LONGEST = timedelta(days=92)

_SOURCES = {
    Source.ARTIFACT: monitor_pb2.Reference.SOURCE_ARTIFACT,
    Source.WINDOW: monitor_pb2.Reference.SOURCE_WINDOW,
    Source.SEASON: monitor_pb2.Reference.SOURCE_SEASON,
}


def time_range(message: monitor_pb2.TimeRange, now: datetime) -> tuple[datetime, datetime]:
    """Return begin and end. Raises InvalidArgument for a time that is none, ends before it begins, or is too long."""
    start, end = span_of(message, "range", now)
    if not 1970 <= start.year <= end.year < 9999:
        raise invalid("range", f"{start.isoformat()} to {end.isoformat()} is no time of predictions")
    if end - start > LONGEST:
        raise invalid("range", f"is {(end - start).days} days long; at most {LONGEST.days} days can be evaluated")
    return start, end


def level(asked: float) -> float:
    """Return the level of an evaluation; 0.05 if none was asked for. Raises InvalidArgument."""
    if asked == 0:
        return DEFAULT_LEVEL
    if not (math.isfinite(asked) and 0 < asked <= 0.5):
        raise invalid("level", f"{asked:g} is no probability of a false alarm: choose one above 0, at most 0.5")
    return asked


def drift(evaluation: DriftEvaluation) -> monitor_pb2.Drift:
    """Return an evaluation as a message, without its name."""
    return monitor_pb2.Drift(
        range=_range(evaluation.start, evaluation.end),
        reference=_SOURCES[evaluation.source],
        severity=to_severity(evaluation.severity),
        reports=[_report(report) for report in evaluation.reports],
        slices=[
            monitor_pb2.Slice(name=each.name, rows=each.rows, effect=each.effect, share=each.share)
            for each in evaluation.slices
        ],
        rows=evaluation.rows,
        advice=evaluation.advice,
    )


def reference(stored: StoredReference) -> monitor_pb2.Reference:
    """Return a reference as a message."""
    read_as = {column.name: column.read_as.value for column in stored.monitored}
    return monitor_pb2.Reference(
        name=f"models/{stored.model}/versions/{stored.version}/reference",
        source=_SOURCES[stored.reference.source],
        freeze_time=_timestamp(stored.reference.frozen_at),
        range=None if stored.range is None else _range(*stored.range),
        columns=[
            monitor_pb2.Reference.Column(name=name, kind=read_as[name], rows=column.summary.rows)
            for name, column in stored.reference.columns.items()
        ],
        unfit=[
            monitor_pb2.Reference.UnfitColumn(name=name, reason=str(why))
            for name, why in stored.reference.unfit.items()
        ],
    )


def distribution(found: Histogram) -> monitor_pb2.Distribution:
    """Return the bins of a column as a message."""
    made = monitor_pb2.Distribution(column=found.column)
    for label, before, now in zip(found.labels, found.reference, found.window, strict=True):
        made.bins.add(label=label, reference_share=before, window_share=now)
    return made


def tolerance(found: Detectable) -> monitor_pb2.DriftTolerance:
    """Return what is tolerated of a column as a message."""
    return monitor_pb2.DriftTolerance(
        column=found.column,
        test=found.test,
        tolerance=found.tolerance,
        set=found.set,
        detectable=found.effect,
        detectable_shift=found.shift,
        inconclusive="" if found.inconclusive is None else str(found.inconclusive),
    )


def _report(report: DriftReport) -> monitor_pb2.DriftReport:
    return monitor_pb2.DriftReport(
        column=report.column,
        kind=report.kind.value,
        test=report.test.value,
        reference_rows=report.n_reference,
        window_rows=report.n_window,
        tolerance=report.tolerance,
        statistic=report.statistic,
        effect=report.effect,
        p=report.p,
        adjusted_p=report.adjusted_p,
        alarm=report.alarm,
        severity=to_severity(report.severity),
        inconclusive="" if report.inconclusive is None else str(report.inconclusive),
        examples=report.examples,
        design_effect=report.design_effect,
        effect_sizes=report.effect_sizes,
    )


def _range(start: datetime, end: datetime) -> monitor_pb2.TimeRange:
    return monitor_pb2.TimeRange(start_time=_timestamp(start), end_time=_timestamp(end))


def _timestamp(at: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(at)
    return made
