"""How likely is a difference of two shares as large as the one observed, when the true one is at most a tolerance?

Exact and unconditional (Barnard 1945): pairs of counts are ordered by a statistic, and the chance of those as extreme
as the observed pair is made as large as the unknown first share allows, within an interval that misses it once in a
thousand million times (Berger, Boos 1994). With two samples of 50 its size at a level of .05 is .03 to .05; that of two
Clopper-Pearson bounds that are to be apart is .001 to .007.
"""

import math

import numpy as np
import scipy

from headrace_statistics.arrays import Floats

# Chance that the interval for the first share misses it; added to p.
BEYOND = 1e-9
_GRID = 41
_NODES = 256


def distance(x: Floats | float, n: int, y: Floats | float, m: int, tolerance: float) -> Floats:
    """Return how many standard errors y/m - x/n is above the tolerance, one added to either outcome of both (Agresti,
    Caffo 2000). It falls with x and rises with y, so that no true difference within the tolerance is more likely to be
    exceeded than one at its edge.
    """
    p, q = (np.asarray(x) + 1) / (n + 2), (np.asarray(y) + 1) / (m + 2)
    return np.asarray((q - p - tolerance) / np.sqrt(p * (1 - p) / (n + 2) + q * (1 - q) / (m + 2)))


def p_value(x: int, n: int, y: int, m: int, *, tolerance: float, low: float, high: float) -> float:
    """Return the largest chance of a distance as large as that of x of n and y of m, over first shares between low and
    high and second ones above them by the tolerance.

    >>> 0.2 < p_value(3, 50, 5, 50, tolerance=0.0, low=0.0, high=0.3) < 0.3
    True
    """
    observed = float(distance(x, n, y, m, tolerance))
    if observed <= 0:
        return 1.0
    share = np.linspace(low, min(high, 1 - tolerance), _GRID)[:, None]
    at, mass = _cells(n, share)
    least = _least(at, n, m, tolerance, observed)
    # P(Y >= k) of a binomial is a beta integral; 1 for k <= 0, 0 for k > m.
    k = np.clip(least, 1, m)
    above = scipy.special.betainc(k, m - k + 1, np.minimum(share + tolerance, 1.0))
    above = np.where(least <= 0, 1.0, np.where(least > m, 0.0, above))
    return min(float(np.max(np.sum(mass * above, axis=1))) + BEYOND, 1.0)


def _cells(n: int, share: Floats) -> tuple[Floats, Floats]:
    """Return counts, and how likely each is by share; where there are very many, middles of runs of them."""
    spread = 9 * math.sqrt(n * 0.25 if n < 40 else n * float(np.max(share * (1 - share)))) + 12
    first = max(math.floor(n * float(share.min()) - spread), 0)
    last = min(math.ceil(n * float(share.max()) + spread), n)
    ends = np.unique(np.linspace(first, last, min(_NODES, last - first + 1)).round())
    begins = np.r_[first, ends[:-1] + 1]
    below = scipy.special.bdtr(ends, n, np.broadcast_to(share, (share.shape[0], ends.size)))
    return (begins + ends) / 2, np.diff(below, axis=1, prepend=0.0)


def _least(at: Floats, n: int, m: int, tolerance: float, observed: float) -> Floats:
    """Return the least second count for which the distance is as large as observed, by first count."""
    p = (at + 1) / (n + 2)
    over = observed**2 / (m + 2)
    # (q - p - tolerance)^2 = observed^2 times the variance, a square equation of q.
    half = p + tolerance + over / 2
    root = half**2 - (1 + over) * ((p + tolerance) ** 2 - observed**2 * p * (1 - p) / (n + 2))
    q = (half + np.sqrt(np.maximum(root, 0.0))) / (1 + over)
    return np.ceil(q * (m + 2) - 1 - 1e-7)
