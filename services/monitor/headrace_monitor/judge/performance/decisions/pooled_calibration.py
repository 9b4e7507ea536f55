"""Calibrate a version's scores on the labels of its last days, the latest most. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from headrace_statistics.calibration import (
    MIN_REFERENCE,
    Calibration,
    LabelledScores,
    calibrate_labelled,
)
from headrace_statistics.inconclusive import NotEnoughData, OneClass
from headrace_statistics.maturity import Maturity, is_mature

from headrace_monitor.judge.performance.decisions.hours import HourlyPerformance, expected_share

# Labels count for half as much when they are older by that.
HALF_LIFE = timedelta(days=2)


def fitted(
    hours: Sequence[HourlyPerformance], last: datetime, now: datetime
) -> Calibration | NotEnoughData | OneClass | None:
    """Return a calibration on the labels of all hours together; None where the last one has none.

    A single hour has few labels, and by chance other ones than the next. Hours whose labels are still coming are left
    out as long as others have enough: those that come first are seldom like the rest.
    """
    if not any(hour.hour == last and hour.scores is not None for hour in hours):
        return None
    expected = expected_share("accuracy", [hour for hour in hours if hour.hour < last], now)
    pools = [
        _pooled([hour for hour in hours if is_mature(Maturity(hour.rows, _labels(hour), expected))], last),
        _pooled(hours, last),
    ]
    enough = next((pool for pool in pools if pool is not None and pool.rows >= MIN_REFERENCE), pools[-1])
    return None if enough is None else calibrate_labelled(enough)


def _labels(hour: HourlyPerformance) -> int:
    return next((measure.rows for measure in hour.measures if measure.name == "accuracy"), 0)


def _pooled(hours: Sequence[HourlyPerformance], last: datetime) -> LabelledScores | None:
    pool: LabelledScores | None = None
    for hour in hours:
        if hour.scores is not None:
            part = hour.scores.weighted(0.5 ** (abs(last - hour.hour) / HALF_LIFE))
            pool = part if pool is None else pool.merge(part)
    return pool
