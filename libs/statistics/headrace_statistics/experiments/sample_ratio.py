"""Are units assigned in the declared shares? Where they are not, something loses units of one variant, and no effect
can be believed.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats

# Dirichlet weight on the declared shares: best at shares that are wrong by about a hundredth, as defects make them.
_WEIGHT = 2_500.0


def log_evidence(units: ArrayLike, shares: ArrayLike) -> Floats:
    """Return the log of the evidence against the shares, at any time (Lindon, Malek, arXiv 2011.03567).

    units: by variant on the last axis. shares: of the same length; they need not add up to 1. A variant without a share
    must have no units: a unit there is proof. What is assigned under other shares is another phase; evidence of phases
    is added.

    >>> float(log_evidence([5000, 5000], [1, 1]).round(2)), float(log_evidence([5300, 4700], [1, 1]).round(2))
    (-0.8, 13.6)
    """
    counted, theta = np.asarray(units, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    given = theta > 0
    if given.sum() < 2:
        return np.where((counted[..., ~given] > 0).any(axis=-1), np.inf, 0.0)
    theta = theta[given] / theta[given].sum()
    seen, prior = counted[..., given], _WEIGHT * theta
    gain = _log_dirichlet(prior + seen) - _log_dirichlet(prior) - (seen * np.log(theta)).sum(axis=-1)
    return np.where((counted[..., ~given] > 0).any(axis=-1), np.inf, gain)


def _log_dirichlet(weights: Floats) -> Floats:
    return scipy.special.gammaln(weights).sum(axis=-1) - scipy.special.gammaln(weights.sum(axis=-1))
