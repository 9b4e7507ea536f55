"""Many columns in every evaluation, and many evaluations: how the chance of a false alarm stays the stated one."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats

_WEEK = timedelta(days=7)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Return adjusted p-values: alarms where they are <= a are false in an expected share of at most a.

    When nothing drifted at all, that is the chance of any alarm. Valid for independent and for positively dependent
    p-values (Benjamini, Yekutieli 2001), such as those of correlated columns. NaN marks what was not tested and stays
    NaN.

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    p = np.asarray(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * tested.size / np.arange(1, tested.size + 1)
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return adjusted


def holm(p_values: ArrayLike) -> Floats:
    """Return adjusted p-values: the chance that any of those <= a is false is at most a, however they depend on each
    other (Holm 1979).

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(p.shape)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1.0)
    return adjusted


@dataclass(frozen=True, slots=True)
class AlarmBudget:
    """False alarms that a model may raise per week while nothing drifts, and how often it is evaluated.

    per_week: expected number. It is divided evenly over the evaluations, so that it holds however windows overlap:
    a .05 test every hour would alarm 8.4 times a week by design.
    """

    per_week: float = 0.05
    every: timedelta = timedelta(hours=1)

    @property
    def evaluations_per_week(self) -> float:
        return max(_WEEK / self.every, 1.0)

    @property
    def level(self) -> float:
        """Level of one evaluation, over all its columns together.

        >>> round(AlarmBudget(per_week=0.05, every=timedelta(hours=1)).level, 6)
        0.000298
        """
        return min(self.per_week / self.evaluations_per_week, 1.0)
