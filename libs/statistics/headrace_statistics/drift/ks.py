"""Kolmogorov-Smirnov with a tolerance, from counts on fine bins."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats
from headrace_statistics.drift.psi import CLEAN_FACTOR, MIN_ROWS
from headrace_statistics.inconclusive import NotEnoughData


@dataclass(frozen=True, slots=True)
class KsChange:
    """statistic, effect: largest difference of the distribution functions at an edge. p: of a true one <= tolerance."""

    statistic: float
    effect: float
    p: float
    tolerance: float
    n_reference: int
    n_window: int


def compare(reference: ArrayLike, window: ArrayLike, *, tolerance: float) -> KsChange | NotEnoughData:
    """Do the two distribution functions differ by more than `tolerance` anywhere? Both: counts on the same bins.

    D - tolerance is held against Kolmogorov's law, which bounds how far the two empirical functions stray from the true
    ones anywhere (Dvoretzky-Kiefer-Wolfowitz-Massart). So it is conservative at the edge of what is tolerated, and more
    so for bins than for raw values. A shift of a normal by d standard deviations is 2 Phi(d/2) - 1: .04 for .1, .2 for
    .5.

    >>> compare([500, 500], [520, 480], tolerance=0.05).p
    1.0
    """
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    n, m = int(a.sum()), int(b.sum())
    if min(n, m) < MIN_ROWS:
        return NotEnoughData(have=min(n, m), need=MIN_ROWS)
    distance = float(statistic(a, b))
    return KsChange(distance, distance, float(p_value(a, b, tolerance=tolerance)), tolerance, n, m)


def statistic(reference: ArrayLike, window: ArrayLike) -> Floats:
    """Return max |F - G| over the edges of counts (..., bins)."""
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    f = np.cumsum(a, axis=-1) / a.sum(axis=-1, keepdims=True)
    g = np.cumsum(b, axis=-1) / b.sum(axis=-1, keepdims=True)
    return np.max(np.abs(f - g), axis=-1)


def p_value(reference: ArrayLike, window: ArrayLike, *, tolerance: float) -> Floats:
    """Return p of H0: max |F - G| <= tolerance, and no less than CLEAN_FACTOR times that of no change at all.

    That of no change is held without Stephens' correction: the statistic of two samples has steps, and at 51 rows a
    side the corrected law says .009 of a step that is reached by .013.
    """
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    root = 1 / np.sqrt(1 / a.sum(axis=-1) + 1 / b.sum(axis=-1))
    # Stephens (1970): brings the law of few rows to Kolmogorov's, which it would otherwise stay below.
    corrected = root + 0.12 + 0.11 / root
    distance = statistic(a, b)
    tolerated = scipy.special.kolmogorov(np.maximum(distance - tolerance, 0.0) * corrected)
    if tolerance <= 0:
        return tolerated
    return np.maximum(tolerated, np.minimum(CLEAN_FACTOR * scipy.special.kolmogorov(distance * root), 1.0))
