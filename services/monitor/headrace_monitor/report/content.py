"""The content of a report as plain data, between `gathering` and `rendering`."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace_statistics.severity import Severity

from headrace_monitor.judge.drift.decisions.histograms import Histogram
from headrace_monitor.record.counters.decisions.traffic import FAULTS
from headrace_monitor.times import Span, later

MAX_BUCKETS = 48
_SIZES = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440))
# Counters older than this may be there by the hour only.
_BY_MINUTE = timedelta(days=1)


_FAULTS = frozenset(code.name for code in FAULTS)


class Outcome(enum.Enum):
    """What became of a request. REFUSED: for what its caller sent; FAILED: for what the installation lacked."""

    ANSWERED = enum.auto()
    REFUSED = enum.auto()
    FAILED = enum.auto()


@dataclass(frozen=True, slots=True)
class MissingPart:
    """A part of the report that could not be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """Traffic of a part of the report's time: answers by (version, source), requests that failed, and latency quantiles
    in microseconds of computed answers, None without any; requests that were refused.
    """

    start: datetime
    counts: dict[tuple[str, str], int]
    failures: int
    quantiles: tuple[float, float, float] | None
    refused: int = 0

    @property
    def empty(self) -> bool:
        return not (any(self.counts.values()) or self.failures or self.refused)


@dataclass(frozen=True, slots=True)
class TrafficRow:
    """Answers of one version, variant, source and code. Durations in microseconds."""

    version: str
    variant: str
    source: str
    code: str
    count: int
    p50_us: float
    p95_us: float
    p99_us: float

    @property
    def outcome(self) -> Outcome:
        if self.code == "OK":
            return Outcome.ANSWERED
        return Outcome.FAILED if self.code in _FAULTS else Outcome.REFUSED


@dataclass(frozen=True, slots=True)
class Traffic:
    """quantiles_of: the version whose quantiles the buckets have. buckets: from the first with traffic to the last."""

    buckets: tuple[Bucket, ...]
    rows: tuple[TrafficRow, ...]
    quantiles_of: str
    dropped_predictions: int
    lost_batches: int

    @property
    def answers(self) -> int:
        return self._count(Outcome.ANSWERED)

    @property
    def failures(self) -> int:
        return self._count(Outcome.FAILED)

    @property
    def refused(self) -> int:
        return self._count(Outcome.REFUSED)

    def _count(self, outcome: Outcome) -> int:
        return sum(row.count for row in self.rows if row.outcome is outcome)


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One test of one column. inconclusive: why it has no result; empty when it has. design_effect: how many rows count
    as one.
    """

    column: str
    kind: str
    test: str
    effect: float | None
    tolerance: float
    adjusted_p: float | None
    alarm: bool
    severity: Severity
    inconclusive: str
    examples: tuple[str, ...]
    design_effect: float = 1.0


@dataclass(frozen=True, slots=True)
class SliceDrift:
    """A part of the rows that explains an alarm, or a fall."""

    name: str
    rows: int
    effect: float
    share: float


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One drift evaluation of a version. against: the reference, in words."""

    start: datetime
    end: datetime
    rows: int
    against: str
    severity: Severity
    columns: tuple[ColumnDrift, ...]
    slices: tuple[SliceDrift, ...]

    @property
    def alarms(self) -> int:
        return sum(column.alarm for column in self.columns)


@dataclass(frozen=True, slots=True)
class VersionDrift:
    """evaluations: the latest first; empty without any, and `missing` says why."""

    version: str
    evaluations: tuple[EvaluationRow, ...]
    histograms: tuple[Histogram, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number with its 95 % interval. note: why there is no value; beside one, what it leaves out."""

    name: str
    value: float | None
    lower: float | None
    upper: float | None
    rows: int
    note: str


@dataclass(frozen=True, slots=True)
class VersionPerformance:
    """maturity: share of the predictions whose label is known. slices: where errors have become more.

    watch, severity: what the detector of concept drift says; empty where no label came.
    """

    version: str
    variant: str
    predictions: int
    labelled: int
    maturity: float
    measures: tuple[Measure, ...]
    slices: tuple[SliceDrift, ...] = ()
    watch: str = ""
    severity: Severity = Severity.NONE


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert. resolve_time: None while it is open."""

    rule: str
    version: str
    severity: Severity
    summary: str
    open_time: datetime
    resolve_time: datetime | None
    silenced: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page says of a model in a time."""

    model: str
    start: datetime
    end: datetime
    made_at: datetime
    traffic: Traffic | MissingPart
    drift: tuple[VersionDrift, ...] | MissingPart
    performance: tuple[VersionPerformance, ...] | MissingPart
    alerts: tuple[AlertRow, ...] | MissingPart


def occupied(buckets: Sequence[Span], filled: Sequence[bool]) -> Sequence[Span]:
    """Return the buckets from the first that has something to the last, none where nothing has."""
    there = [at for at, has in enumerate(filled) if has]
    return buckets[there[0] : there[-1] + 1] if there else ()


def buckets_of(span: Span, now: datetime) -> tuple[Span, ...]:
    """Return at most MAX_BUCKETS buckets of equal length that cover a time, the first at a round time.

    >>> start = datetime(2031, 2, 3, 12, 7, tzinfo=UTC)
    >>> buckets = buckets_of(Span(start, start + timedelta(hours=2)), start)
    >>> len(buckets), buckets[0].start.minute, buckets[0].end.minute
    (25, 5, 10)
    """
    length = span.end - span.start
    least = timedelta(hours=1) if span.start < now - _BY_MINUTE else _SIZES[0]
    fit = (size for size in _SIZES if size >= least and length / size <= MAX_BUCKETS - 1)
    size = next(fit, timedelta(days=-(-length // (timedelta(days=1) * (MAX_BUCKETS - 1)))))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start = epoch + (max(span.start, epoch) - epoch) // size * size
    count = -(-(span.end - start) // size)
    return tuple(Span(start + at * size, later(start, (at + 1) * size)) for at in range(count))
