"""For comparison: a test that may be looked at once, at the number of units that was planned."""

from __future__ import annotations

import scipy

from headrace_statistics.experiments.effects import Effect


def p_value(effect: Effect) -> float:
    """Return the two-sided p-value of "no difference" if nobody looked before.

    Variance is that of units, so repeats of one unit do not count as many.
    """
    return float(2 * scipy.stats.norm.sf(abs(effect.z)))
