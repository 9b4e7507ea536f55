"""What a report says, as plain data: who gathers it and who draws it know nothing of each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from headrace_statistics.severity import Severity


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A part that could not be asked, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of the report's time: answers by (version, source), failures, and quantiles in microseconds of what was
    computed for its request; None without any.
    """

    start: datetime
    counts: dict[tuple[str, str], int]
    failures: int
    quantiles: tuple[float, float, float] | None


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


@dataclass(frozen=True, slots=True)
class Traffic:
    """quantiles_of: the version whose quantiles the slots have."""

    slots: tuple[Slot, ...]
    rows: tuple[TrafficRow, ...]
    quantiles_of: str
    dropped_predictions: int
    lost_batches: int

    @property
    def answers(self) -> int:
        return sum(row.count for row in self.rows)

    @property
    def failures(self) -> int:
        return sum(row.count for row in self.rows if row.code != "OK")


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One test of one column. unsaid: why it could not say anything; empty when it did."""

    column: str
    kind: str
    test: str
    effect: float | None
    tolerance: float
    adjusted_p: float | None
    alarm: bool
    severity: Severity
    unsaid: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SliceDrift:
    """A part of the rows that explains an alarm, or a fall."""

    name: str
    rows: int
    effect: float
    share: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of rows in the same bins, in the reference and in the window."""

    column: str
    labels: tuple[str, ...]
    reference: tuple[float, ...]
    window: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a version's rows found. against: what they were held against, in words."""

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
    """looks: the latest first; empty without any, and `missing` says why."""

    version: str
    looks: tuple[Look, ...]
    histograms: tuple[Histogram, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number with its 95 % interval. unsaid: why there is no value; beside one, what it leaves out."""

    name: str
    value: float | None
    lower: float | None
    upper: float | None
    rows: int
    unsaid: str


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
    traffic: Traffic | Unanswered
    drift: tuple[VersionDrift, ...] | Unanswered
    performance: tuple[VersionPerformance, ...] | Unanswered
    alerts: tuple[AlertRow, ...] | Unanswered
