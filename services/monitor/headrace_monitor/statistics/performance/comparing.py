"""Has a mean, or an area under the curve, become worse by more than is tolerated?

For losses, absolute errors, rewards and revenue. Shares (accuracy, conversion) have an exact test: `statistics.shares`.
"""

import math
from dataclasses import dataclass

from scipy import special

from headrace_monitor.statistics.summaries.moments import Moments
from headrace_monitor.statistics.summaries.scores import ScoreCounts, auc, auc_error
from headrace_monitor.statistics.unsaid import NotEnoughData, Unsaid

# For a mean to be near normal; the third moment of errors and revenues is large.
MIN_ROWS = 100


@dataclass(frozen=True, slots=True)
class MeanChange:
    """difference: now - before, in the unit of the values; low, high: its interval. effect: in standard deviations of
    the reference, 0 where it has none. p: of a change no worse than the tolerance.
    """

    before: float
    now: float
    difference: float
    low: float
    high: float
    effect: float
    tolerance: float
    p: float
    n_before: int
    n_now: int


def mean_rise(before: Moments, now: Moments, *, tolerance: float = 0.0, level: float = 0.05) -> MeanChange | Unsaid:
    """Has the mean risen by more than `tolerance`, in the unit of the values? Welch's test, one-sided."""
    n, m = before.count, now.count
    if min(n, m) < MIN_ROWS:
        return NotEnoughData(have=min(n, m), need=MIN_ROWS)
    spread_before, spread_now = before.variance, now.variance
    if not isinstance(spread_before, int | float):
        return spread_before
    if not isinstance(spread_now, int | float):
        return spread_now
    a, b = spread_before / n, spread_now / m
    error = math.sqrt(a + b)
    difference = now.mean - before.mean
    if error == 0:
        degrees, p, half = math.inf, float(difference <= tolerance), 0.0
    else:
        share = a / (a + b)
        degrees = 1 / (share**2 / (n - 1) + (1 - share) ** 2 / (m - 1))
        p = float(special.stdtr(degrees, -(difference - tolerance) / error))
        half = float(special.stdtrit(degrees, 1 - level / 2)) * error
    scale = math.sqrt(spread_before)
    return MeanChange(
        before.mean,
        now.mean,
        difference,
        difference - half,
        difference + half,
        difference / scale if scale > 0 else 0.0,
        tolerance,
        p,
        n,
        m,
    )


def mean_fall(before: Moments, now: Moments, *, tolerance: float = 0.0, level: float = 0.05) -> MeanChange | Unsaid:
    """Has the mean fallen by more than `tolerance`? difference, effect, low and high are negative where it has."""
    change = mean_rise(_mirrored(before), _mirrored(now), tolerance=tolerance, level=level)
    if not isinstance(change, MeanChange):
        return change
    return MeanChange(
        before.mean,
        now.mean,
        -change.difference,
        -change.high,
        -change.low,
        -change.effect,
        tolerance,
        change.p,
        change.n_before,
        change.n_now,
    )


def auc_fall(
    before: ScoreCounts, now: ScoreCounts, *, tolerance: float = 0.0, level: float = 0.05
) -> MeanChange | Unsaid:
    """Has the AUC fallen by more than `tolerance`? By DeLong's standard errors; effect is the difference."""
    values = [auc(before), auc(now), auc_error(before), auc_error(now)]
    for value in values:
        if not isinstance(value, int | float):
            return value
    first, second, error_first, error_second = (value for value in values if isinstance(value, float))
    error = math.hypot(error_first, error_second)
    difference = second - first
    p = float(special.ndtr((difference + tolerance) / error)) if error > 0 else float(difference >= -tolerance)
    half = float(special.ndtri(1 - level / 2)) * error
    low, high = difference - half, difference + half
    return MeanChange(
        first, second, difference, low, high, difference, tolerance, p, round(before.rows), round(now.rows)
    )


def _mirrored(of: Moments) -> Moments:
    return Moments(of.count, -of.mean, of.m2, -of.maximum, -of.minimum, of.left_out)
