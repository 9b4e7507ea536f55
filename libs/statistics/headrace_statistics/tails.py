"""Upper tails of the distributions that tests with a tolerance need, for any size of sample."""

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats

# Above it the sum that scipy evaluates becomes slow and then fails; the approximation is within 1e-5 from far below it.
_LARGE = 1e4


def noncentral_chi2(x: ArrayLike, degrees: ArrayLike, noncentrality: ArrayLike) -> Floats:
    """P(X > x) of a noncentral chi-square, elementwise.

    For large noncentrality: Sankaran's (1963) normal approximation of a power of X.
    """
    x, k, lam = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x, degrees, noncentrality)))
    exact = np.where(lam <= _LARGE, lam, 0.0)
    tail = scipy.special.chdtrc(k, np.maximum(x, 0))
    if bool((exact > 0).any()):
        tail = np.where(exact > 0, scipy.stats.ncx2.sf(x, k, np.maximum(exact, 1e-300)), tail)
    if not bool((lam > _LARGE).any()):
        return tail
    with np.errstate(invalid="ignore", divide="ignore"):
        total = k + lam
        h = 1 - 2 * total * (k + 3 * lam) / (3 * (k + 2 * lam) ** 2)
        p = (k + 2 * lam) / total**2
        m = (h - 1) * (1 - 3 * h)
        mean = 1 + h * p * (h - 1 - (2 - h) * m * p / 2)
        spread = h * np.sqrt(2 * p) * (1 + m * p / 2)
        z = ((np.maximum(x, 0) / total) ** h - mean) / spread
    return np.where(lam > _LARGE, scipy.special.ndtr(-z), tail)
