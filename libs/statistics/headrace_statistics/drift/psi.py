"""Population stability index with a tolerance: neither an alarm at every 100 rows nor one on nothing at a million."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats
from headrace_statistics.inconclusive import NotEnoughData
from headrace_statistics.tails import noncentral_chi2

# Fewer rows on a side say nothing worth an alarm; from here on the error rates of docs/statistics.md hold.
MIN_ROWS = 50
# How much rarer an alarm is when nothing changed at all than at the edge of what is tolerated. Five would be 1 % at a
# level of 5 %; the law of few rows is only nearly chi-square.
CLEAN_FACTOR = 6.0


@dataclass(frozen=True, slots=True)
class PsiChange:
    """statistic: PSI as observed. effect: without what chance adds, >= 0. p: of a true PSI <= tolerance."""

    statistic: float
    effect: float
    p: float
    tolerance: float
    n_reference: int
    n_window: int
    bins: int


def compare(reference: ArrayLike, window: ArrayLike, *, tolerance: float) -> PsiChange | NotEnoughData:
    """Is the true PSI of window and reference above `tolerance`? Both: counts on the same bins.

    Assumes independent rows on either side, and edges frozen before the window came. Reference: Yurdakul, Naranjo 2020,
    J. Risk Model Validation 14(4), for the law without a tolerance.

    >>> compare([500, 500], [520, 480], tolerance=0.05).p > 0.5
    True
    >>> compare([500, 500], [800, 200], tolerance=0.05).p < 1e-6
    True
    """
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    n, m = int(a.sum()), int(b.sum())
    if min(n, m) < MIN_ROWS:
        return NotEnoughData(have=min(n, m), need=MIN_ROWS)
    observed = float(statistic(a, b))
    effect = max(observed - (1 / n + 1 / m) * (a.size - 1), 0.0)
    return PsiChange(observed, effect, float(p_value(a, b, tolerance=tolerance)), tolerance, n, m, a.size)


def statistic(reference: ArrayLike, window: ArrayLike) -> Floats:
    """Return sum (p - q) ln(p / q) over the last axis of counts (..., bins)."""
    p, q = _smoothed(reference), _smoothed(window)
    return np.sum((p - q) * np.log(p / q), axis=-1)


def p_value(reference: ArrayLike, window: ArrayLike, *, tolerance: float) -> Floats:
    """Return p of H0: true PSI <= tolerance, for counts (..., bins). The larger of two:

    * with s = 1/n + 1/m, PSI/s is about noncentral chi-square with bins - 1 degrees and noncentrality tolerance/s;
    * CLEAN_FACTOR times the p of no change at all, which matters when s is as large as the tolerance.
    """
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    n, m = a.sum(axis=-1), b.sum(axis=-1)
    degrees = a.shape[-1] - 1
    if degrees < 1:
        return np.ones(np.broadcast_shapes(n.shape, m.shape))
    s = 1 / n + 1 / m
    scaled = statistic(a, b) / s
    clean = np.minimum(clean_factor(tolerance) * scipy.special.chdtrc(degrees, scaled), 1.0)
    return np.maximum(noncentral_chi2(scaled, degrees, tolerance / s), clean)


def clean_factor(tolerance: float) -> float:
    """Return CLEAN_FACTOR, or 1 where nothing is tolerated: then no change at all is the edge."""
    return CLEAN_FACTOR if tolerance > 0 else 1.0


def _smoothed(counts: ArrayLike) -> Floats:
    # Half a count per bin: an empty bin then costs a little, not infinity.
    raised = np.asarray(counts, dtype=np.float64) + 0.5
    return raised / raised.sum(axis=-1, keepdims=True)
