"""Drift evaluations: their result, when a window is due, and the observations that alert rules get. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace_statistics.drift.reports import DriftReport, Kind
from headrace_statistics.multiplicity import AlarmBudget
from headrace_statistics.references import Source
from headrace_statistics.severity import Severity

from headrace_monitor.alert.observations import Observation
from headrace_monitor.judge.drift.decisions.advice import sentence_of

# Older windows, after a long stop of all monitors, are not evaluated any more.
CATCH_UP = timedelta(days=1)
# Rows that come later than this still enter their window, but it is not evaluated again.
PATIENCE = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SliceEffect:
    """A slice that explains an alarm. effect: of the change within it. share: of the change that it explains."""

    name: str
    rows: int
    effect: float
    share: float


@dataclass(frozen=True, slots=True)
class DriftEvaluation:
    """Result of comparing a time range of a version with a reference. source: of the counts compared with. advice: what
    to do about it; empty where nothing is known.
    """

    model: str
    version: str
    reference: int
    source: Source
    start: datetime
    end: datetime
    rows: int
    reports: tuple[DriftReport, ...]
    slices: tuple[SliceEffect, ...] = ()
    advice: str = ""

    @property
    def severity(self) -> Severity:
        return max((report.severity for report in self.reports), default=Severity.NONE)

    @property
    def alarms(self) -> tuple[DriftReport, ...]:
        """Return the reports that are alarms, the worst first."""
        return tuple(sorted((report for report in self.reports if report.alarm), key=_badness, reverse=True))


@dataclass(frozen=True, slots=True)
class Schedule:
    """When windows are evaluated. seconds: of a window, a divisor of a day. settle: time for its rows to arrive.

    per_week: false alarms that a version may raise in a week without drift.
    """

    seconds: int
    settle: timedelta
    per_week: float

    @property
    def level(self) -> float:
        """Return the level of one evaluation."""
        return AlarmBudget(self.per_week, timedelta(seconds=self.seconds)).level

    def whole(self, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        """Return the whole windows that cover a time.

        >>> hourly = Schedule(3600, timedelta(0), 0.05)
        >>> [f"{at:%H:%M}" for at in hourly.whole(datetime(2030, 1, 1, 9, 20, tzinfo=UTC),
        ...                                       datetime(2030, 1, 1, 10, 0, tzinfo=UTC))]
        ['09:00', '10:00']
        """
        length = timedelta(seconds=self.seconds)
        return _EPOCH + (start - _EPOCH) // length * length, _EPOCH - (_EPOCH - end) // length * length


def seasonal_advice(model: str, version: str, ago: timedelta) -> str:
    """Return what to do about alarms of a time that was the same a day or a week earlier."""
    when = "the same time a week before" if ago >= WEEK else "the same time a day before"
    return (
        f"nothing has changed against {when}: the traffic has a daily or weekly shape that the reference has not; hold "
        f"it against the same hour a week before: headrace monitor reference freeze {model} {version} --seasonal"
    )


def is_due(end: datetime, now: datetime, *, waiting: bool, schedule: Schedule) -> bool:
    """Return whether a window that ended at `end` is to be evaluated. waiting: whether more rows are known to come."""
    settled = end + schedule.settle
    return now >= settled + PATIENCE or (now >= settled and not waiting)


def observations(evaluation: DriftEvaluation) -> list[Observation]:
    """Return the worst result of drift and of quality, each as an observation; none where all tests were inconclusive.

    An alert resolves when an evaluation finds nothing, so an inconclusive one must not count as that.
    """
    kinds = {"drift": (Kind.DATA, Kind.PREDICTION), "quality": (Kind.QUALITY,)}
    return [
        _observation(evaluation, signal, [report for report in evaluation.reports if report.kind in of])
        for signal, of in kinds.items()
        if any(report.kind in of and report.p is not None for report in evaluation.reports)
    ]


def _observation(evaluation: DriftEvaluation, signal: str, reports: Iterable[DriftReport]) -> Observation:
    alarms = sorted((report for report in reports if report.alarm), key=_badness, reverse=True)
    worst = alarms[0] if alarms else None
    return Observation(
        model=evaluation.model,
        version=evaluation.version,
        signal=signal,
        window_start=evaluation.start,
        window_end=evaluation.end,
        value=abs(worst.effect or 0.0) if worst else 0.0,
        severity=worst.severity if worst else Severity.NONE,
        summary="; ".join(
            filter(
                None,
                (summary(alarms, evaluation.slices if signal == "drift" else ()), evaluation.advice if alarms else ""),
            )
        ),
        rows=evaluation.rows,
    )


def summary(alarms: list[DriftReport], slices: tuple[SliceEffect, ...] = ()) -> str:
    """Return a sentence about the worst alarm, and the number of other columns with one.

    >>> from headrace_statistics.drift.reports import Test
    >>> summary([DriftReport("age", Kind.DATA, Test.PSI, 900, 800, 0.05, effect=0.312, alarm=True)])
    'PSI of age is 0.312, and 0.05 is tolerated'
    """
    if not alarms:
        return ""
    worst, others = alarms[0], len({alarm.column for alarm in alarms} - {alarms[0].column})
    said = sentence_of(worst)
    if slices:
        said += f"; {slices[0].share:.0%} of it at {slices[0].name}"
    return said + (f"; {others} other column{'s' if others > 1 else ''}" if others else "")


def _badness(report: DriftReport) -> tuple[Severity, float, float]:
    # By severity, then by certainty, then by size.
    return report.severity, -(report.adjusted_p or 0.0), abs(report.effect or 0.0)
