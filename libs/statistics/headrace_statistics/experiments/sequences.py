"""Confidence sequences: intervals of a difference that hold at every look at once, in large samples.

The mixture of normal effects of Robbins in its asymptotic form (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, Annals of
Statistics 52(6), 2024, arXiv 2103.06476). It is tightest at a number of units that is chosen beforehand, and wider at
others. What is tested needs enough units for its mean to be normal: `analysis` states how many it waits for.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats


def precision(tuned_units: float, alpha: float) -> float:
    """Return the mixture's variance, in units of a single unit's, that makes the interval tightest at `tuned_units`.

    >>> round(precision(5000, 0.05), 5)
    0.00159
    """
    surprise = -2 * math.log(alpha)
    return (surprise + math.log(1 + surprise)) / tuned_units


def log_evidence(z: ArrayLike, units: ArrayLike, mixture: float) -> Floats:
    """Return the log of the evidence against "no difference": an estimate of z standard errors, from `units` units.

    Its exponential reaches 1/alpha at any look with a probability of alpha at most while there is none.
    """
    known = np.asarray(units, dtype=np.float64) * mixture
    score = np.square(np.asarray(z, dtype=np.float64))
    return 0.5 * (known / (1 + known) * score - np.log1p(known))


def half_width(standard_error: ArrayLike, units: ArrayLike, mixture: float, alpha: float) -> Floats:
    """Return how far the interval reaches on both sides of an estimate; infinite without units.

    >>> float(half_width(1.0, 5000, precision(5000, 0.05), 0.05).round(3))
    3.035
    """
    known = np.asarray(units, dtype=np.float64) * mixture
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.sqrt((1 + 1 / known) * (np.log1p(known) - 2 * math.log(alpha)))
        wide = np.asarray(standard_error, dtype=np.float64) * reach
    return np.where(known > 0, wide, np.inf)
