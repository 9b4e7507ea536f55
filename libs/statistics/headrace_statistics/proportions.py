"""Has a proportion risen or fallen by more than a tolerance? Exact at any sample size and any share.

For everything that is a count of rows: missing values, values out of range, new and vanished categories, errors,
conversions.
"""

import math
from dataclasses import dataclass

import scipy

from headrace_statistics import unconditional
from headrace_statistics.inconclusive import NotEnoughData

# The smallest p-value that is reported.
_LEAST = 1e-100
# Standard errors beyond the tolerance below which p is larger than any level that anybody asks for.
_PLAIN = 1.2


@dataclass(frozen=True, slots=True)
class Proportion:
    """count of rows out of `of` rows."""

    count: int
    of: int

    @property
    def value(self) -> float:
        return self.count / self.of if self.of else math.nan

    @property
    def others(self) -> "Proportion":
        return Proportion(self.of - self.count, self.of)

    def merge(self, other: "Proportion") -> "Proportion":
        return Proportion(self.count + other.count, self.of + other.of)


@dataclass(frozen=True, slots=True)
class ProportionChange:
    """before, now: the shares. difference: now - before. p: of a change no larger than the tolerance.

    low, high: interval of the difference, that holds it with at least the confidence asked for.
    """

    before: Proportion
    now: Proportion
    difference: float
    low: float
    high: float
    tolerance: float
    p: float


def interval(share: Proportion, level: float) -> tuple[float, float]:
    """Return the Clopper-Pearson interval that misses the true share with at most `level`, half on either side."""
    return _lower(share, level / 2), _upper(share, level / 2)


def rise(
    before: Proportion, now: Proportion, *, tolerance: float = 0.0, level: float = 0.05
) -> ProportionChange | NotEnoughData:
    """Has the share risen by more than `tolerance`, a difference of shares?

    Both shares are uncertain: the reference may be small too. P(p <= a) <= a for every n and every true share, and
    not much less (`unconditional`). low, high: Clopper-Pearson bounds of the two, each missing with half of the level.

    >>> change = rise(Proportion(0, 1000), Proportion(50, 1000))
    >>> change.difference, change.p < 1e-6
    (0.05, True)
    """
    if min(before.of, now.of) < 1:
        return NotEnoughData(have=min(before.of, now.of), need=1)
    low_before, high_before = interval(before, level / 2)
    low_now, high_now = interval(now, level / 2)
    return ProportionChange(
        before,
        now,
        difference=now.value - before.value,
        low=low_now - high_before,
        high=high_now - low_before,
        tolerance=tolerance,
        p=_p(before, now, tolerance),
    )


def fall(
    before: Proportion, now: Proportion, *, tolerance: float = 0.0, level: float = 0.05
) -> ProportionChange | NotEnoughData:
    """Has the share fallen by more than `tolerance`? Like `rise`, with the same meaning of difference, low and high."""
    change = rise(before.others, now.others, tolerance=tolerance, level=level)
    if isinstance(change, NotEnoughData):
        return change
    return ProportionChange(before, now, -change.difference, -change.high, -change.low, tolerance, change.p)


def _p(before: Proportion, now: Proportion, tolerance: float) -> float:
    if now.value - before.value <= tolerance:
        return 1.0
    away = unconditional.distance(before.count, before.of, now.count, now.of, tolerance)
    certain = _apart(before, now, tolerance)
    # Where chance explains it, or hardly anything could, the bounds say enough.
    if away < _PLAIN or certain <= unconditional.BEYOND:
        return certain
    low, high = interval(before, unconditional.BEYOND)
    p = unconditional.p_value(before.count, before.of, now.count, now.of, tolerance=tolerance, low=low, high=high)
    return min(p, certain)


def _apart(before: Proportion, now: Proportion, tolerance: float) -> float:
    """Return the smallest a at which the Clopper-Pearson bounds of the two, each missing with a/2, are further apart
    than the tolerance.
    """

    def apart(level: float) -> float:
        return _lower(now, level / 2) - _upper(before, level / 2) - tolerance

    # apart() rises with the level, from -tolerance - 1 at 0 to the observed distance, nearly, at 1.
    if apart(1.0) <= 0:
        return 1.0
    if apart(_LEAST) > 0:
        return _LEAST
    root = scipy.optimize.brentq(lambda log_level: apart(math.exp(log_level)), math.log(_LEAST), 0.0, xtol=1e-9)
    return math.exp(root)  # pyright: ignore[reportArgumentType]


def _lower(share: Proportion, level: float) -> float:
    return 0.0 if share.count == 0 else float(scipy.special.betaincinv(share.count, share.of - share.count + 1, level))


def _upper(share: Proportion, level: float) -> float:
    if share.count == share.of:
        return 1.0
    return float(scipy.special.betainccinv(share.count + 1, share.of - share.count, level))
