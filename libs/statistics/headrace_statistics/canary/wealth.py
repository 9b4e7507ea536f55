"""Bets on which arm the bad answers come from.

Of n requests to the canary and m to the baseline, with c and b bad ones: a^c · (1 - r(a-1)n/m)^b has an expectation of
at most 1 for every a > 1 while the canary's rate is at most r times the baseline's, whatever that is (1 + x <= e^x).
With a chosen for the ratio k·r, it is the likelihood ratio of the labels: given that an answer is bad, it is the
canary's with probability wr/(wr + 1 - w), w = n/(n + m). Products of such bets, with n and m of each tick, are
e-processes: by Ville's inequality they ever reach 1/alpha with probability alpha at most, while w, the traffic and the
baseline's rate change as they like.

Every function takes numbers or arrays of one shape, and returns that shape with an axis for the bets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats, floats

# Betted ratios of rates, as multiples of the tolerated one, with weights: from what takes hours to see to breakage.
RISES = floats([1.07, 1.3, 2, 4, 8, 100])
RISE_LOG_WEIGHTS = floats(np.log(np.array([1, 1, 2, 2, 2, 2]) / 10))
# Of the bets that a canary is worse, nine tenths of the stake are on "from the beginning".
FIRST_STAKE = 0.9
# Factors of bets that the canary is no worse: small ones where it has hardly any bad answers, large ones where both do.
# One more bet is as large as the shares of both make it grow most while both have bad answers alike (Kelly): beside a
# small baseline any larger one would lose by a fault of everything.
FALLS = floats([0.05, 0.4, 0.7, 0.85])
FALL_LOG_WEIGHTS = floats(np.log(np.full(FALLS.size + 1, 1 / (FALLS.size + 1))))


def rise_gains(
    canary: ArrayLike, bad: ArrayLike, baseline: ArrayLike, baseline_bad: ArrayLike, ratio: float, rate: float
) -> Floats:
    """Return the log gain of each bet against "the canary's rate is at most ratio · the baseline's + rate"."""
    n, c, m, b = _columns(canary, bad, baseline, baseline_bad)
    w = n / np.maximum(n + m, 1)
    tolerated, betted = w * ratio + 1 - w, w * ratio * RISES + 1 - w
    factor = RISES * tolerated / betted
    gain = c * np.log(factor) + b * np.log(tolerated / betted) - n * rate * (factor - 1)
    return np.where((n > 0) & (m > 0), gain, 0.0)


def alone_gains(canary: ArrayLike, bad: ArrayLike, rate: ArrayLike) -> Floats:
    """Return the log gain of each bet against "the canary's rate is at most rate", without a baseline beside it."""
    n, c, tolerated = _columns(canary, bad, rate)
    factor = np.minimum(RISES, 1 / tolerated)
    return c * np.log(factor) - n * tolerated * (factor - 1)


def fall_gains(
    canary: ArrayLike, bad: ArrayLike, baseline: ArrayLike, baseline_bad: ArrayLike, ratio: float, rate: float
) -> Floats:
    """Return the log gain of each bet against "the canary's rate is at least ratio · the baseline's + rate".

    Without requests to the baseline, only `rate` can be undercut.
    """
    n, c, m, b = _columns(canary, bad, baseline, baseline_bad)
    even = np.where(m > 0, (1 - 1 / ratio) * m / np.maximum(n + m, 1), 1 - FALLS[0])
    factor = np.concatenate([np.broadcast_to(FALLS, (*n.shape[:-1], FALLS.size)), 1 - even], axis=-1)
    baseline_factor = np.where(m > 0, 1 + ratio * (1 - factor) * n / np.maximum(m, 1), 1.0)
    return c * np.log(factor) + b * np.log(baseline_factor) + n * rate * (1 - factor)


def mixture(log_wealth: ArrayLike, log_weights: Floats) -> Floats:
    """Return the log of the weighted mean over the bets, on the last axis."""
    return np.logaddexp.reduce(np.asarray(log_wealth) + log_weights, axis=-1)


def _columns(*values: ArrayLike) -> list[Floats]:
    return [np.asarray(value, dtype=np.float64)[..., None] for value in values]
