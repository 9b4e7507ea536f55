"""What size of a change can be found at all, with so many rows on either side, beyond what is tolerated?"""

import math

import numpy as np
import scipy

from headrace_statistics.drift.psi import MIN_ROWS, clean_factor
from headrace_statistics.inconclusive import NotEnoughData

POWER = 0.9


def psi(n: int, m: int, *, tolerance: float, level: float, groups: int = 10) -> float | NotEnoughData:
    """Return the true PSI (or w squared, of as many categories) that is found with POWER.

    >>> found = psi(10_000, 10_000, tolerance=0.05, level=0.05)
    >>> isinstance(found, float) and 0.06 < found < 0.08
    True
    """
    if min(n, m) < MIN_ROWS:
        return NotEnoughData(have=min(n, m), need=MIN_ROWS)
    degrees, s = max(groups - 1, 1), 1 / n + 1 / m
    least = scipy.special.chdtri(degrees, level / clean_factor(tolerance))
    if tolerance > 0:
        least = max(least, _quantile(degrees, tolerance / s, level))
    # The noncentrality whose distribution exceeds that with POWER: between nothing and plenty.
    low, high = 0.0, 2 * float(least) + 100
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if scipy.stats.ncx2.sf(least, degrees, middle) < POWER else (low, middle)
    return high * s


def ks(n: int, m: int, *, tolerance: float, level: float) -> float | NotEnoughData:
    """Return the largest difference of the distribution functions that is found with POWER, at its worst place."""
    if min(n, m) < MIN_ROWS:
        return NotEnoughData(have=min(n, m), need=MIN_ROWS)
    root = math.sqrt(1 / n + 1 / m)
    edge = tolerance + float(scipy.special.kolmogi(level)) * root
    clean = float(scipy.special.kolmogi(min(level / clean_factor(tolerance), 1.0))) * root
    return min(max(edge, clean) + float(scipy.special.ndtri(POWER)) * root / 2, 1.0)


def rise(n: int, m: int, *, tolerance: float, level: float, share: float = 0.0) -> float | NotEnoughData:
    """Return the rise of a share that is found with POWER. share: of the reference."""
    if min(n, m) < 1:
        return NotEnoughData(have=min(n, m), need=1)
    need = float(scipy.special.ndtri(1 - level)), float(scipy.special.ndtri(POWER))
    found = tolerance
    for _ in range(50):  # the error depends on the share that is looked for
        before, now = max(share, 1 / n), min(max(share + found, 1 / m), 1.0)
        error = math.sqrt(before * (1 - before) / n + now * (1 - now) / m)
        found = tolerance + (need[0] + need[1]) * error
    return min(found, 1 - share)


def in_standard_deviations(effect: float, *, of_ks: bool) -> float:
    """Return the shift of a normal that has this effect: of KS 2 Phi(d/2) - 1, of PSI d squared.

    >>> round(in_standard_deviations(0.1974, of_ks=True), 2), round(in_standard_deviations(0.05, of_ks=False), 2)
    (0.5, 0.22)
    """
    if not of_ks:
        return math.sqrt(max(effect, 0.0))
    return 2 * float(scipy.special.ndtri((1 + min(effect, 1 - 1e-12)) / 2))


def _quantile(degrees: int, noncentrality: float, level: float) -> float:
    if noncentrality > 1e4:
        spread = np.sqrt(2 * (degrees + 2 * noncentrality))
        return degrees + noncentrality + float(scipy.special.ndtri(1 - level) * spread)
    return float(scipy.stats.ncx2.isf(level, degrees, noncentrality))
