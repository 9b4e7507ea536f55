"""Drift evaluations: their result, when a window is due, and the observations that alert rules get. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace_statistics.drift.reports import DriftReport, Kind, Test
from headrace_statistics.multiplicity import AlarmBudget
from headrace_statistics.references import Source
from headrace_statistics.severity import Severity

from headrace_monitor.alert.observations import Observation

# Display name of each distance, whose value is in the unit of its test.
_DISTANCES = {
    Test.PSI: "PSI of {column}",
    Test.KS: "KS distance of {column}",
    Test.CHI_SQUARE: "change of the categories of {column}, as w squared,",
    Test.EMBEDDING: "shift of the embeddings of {column}, in spreads of the reference,",
    Test.REST_PSI: "PSI of {column} where it is {examples}",
    Test.REST_KS: "KS distance of {column} where it is {examples}",
}
# What is wrong with a share of the rows.
_SHARES = {
    Test.MISSING: "{column} is missing",
    Test.NOT_FINITE: "{column} is not finite",
    Test.OUT_OF_RANGE: "{column} is out of its declared range",
    Test.BEYOND_REFERENCE: "{column} is beyond every value of the reference",
    Test.TYPE: "{column} is not of its type",
    Test.NEW_CATEGORIES: "{column} is not one of the reference's categories",
}
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


def sentence_of(alarm: DriftReport) -> str:
    """Return what has changed, by how much, and how much of that is tolerated.

    >>> from headrace_statistics.drift.reports import Kind
    >>> sentence_of(DriftReport("age", Kind.DATA, Test.PSI, 900, 800, 0.05, effect=0.312))
    'PSI of age is 0.312, and 0.05 is tolerated'
    >>> sentence_of(DriftReport("age", Kind.QUALITY, Test.MISSING, 900, 800, 0.01, statistic=0.34, effect=0.31))
    'age is missing in 34% of the rows, 31 percentage points more than in the reference, and 1 is tolerated'
    >>> sentence_of(DriftReport("pixel", Kind.QUALITY, Test.CONSTANT, 900, 800, 0.0, effect=1.0, examples=("0",)))
    'pixel is 0 in every row, and varies in the reference'
    """
    column, examples, effect = alarm.column, ", ".join(alarm.examples), abs(alarm.effect or 0.0)
    now = effect if alarm.statistic is None else alarm.statistic
    tolerance = alarm.tolerance * (1 if alarm.test in _DISTANCES else 100)
    tolerated = f", and {tolerance:.3g} is tolerated" if tolerance else ""
    points = f"{effect * 100:.3g} percentage points"
    if alarm.test is Test.CONSTANT:
        return f"{column} is {examples} in every row, and varies in the reference"
    if alarm.test is Test.SPIKE:
        before = now - (alarm.effect or 0.0)
        return f"{column} is {examples} in {_percent(now)} of the rows, and in {_percent(before)} of the reference's"
    if alarm.test is Test.VANISHED_CATEGORIES:
        gone, first = " or ".join(alarm.examples), alarm.examples[0]
        return f"{column} is never {gone} any more; {_percent(effect)} of the reference is {first}"
    if alarm.test is Test.EXACT_SHARES:
        return f"the share of a category of {column} has changed by {points}{tolerated}"
    if alarm.test in _SHARES:
        what, named = _SHARES[alarm.test].format(column=column), f" ({examples})" if examples else ""
        return f"{what} in {_percent(now)} of the rows{named}, {points} more than in the reference{tolerated}"
    what = _DISTANCES[alarm.test].format(column=column, examples=examples)
    return f"{what} is {effect:.3g}{tolerated}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"
