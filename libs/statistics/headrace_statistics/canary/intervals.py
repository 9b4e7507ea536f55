"""Intervals that hold at every moment at once: a rollout is looked at each second.

A share that had k of n is not p where the Beta(1/2, 1/2) mixture of all shares explains the data 1/level times better
than p does (the beta-binomial confidence sequence of Howard, Ramdas, McAuliffe and Sekhon, Ann. Stat. 49(2), 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable

_STEPS = 60


def clustered_bounds(bad: int, of: int, squares: int, level: float) -> tuple[float, float]:
    """Return the interval of a share of rows that come in requests. squares: sum of the squares of each request's bad
    rows, 0 where that is unknown: so many rows as are bad together, on average over them, count as one.

    >>> clustered_bounds(100, 10_000, 2_000, 0.05) == rate_bounds(5, 500, 0.05)
    True
    """
    together = max(squares / bad, 1.0) if bad else 1.0
    return rate_bounds(round(bad / together), round(of / together), level)


def rate_bounds(bad: int, requests: int, level: float) -> tuple[float, float]:
    """Return the interval of a rate; 0 to 1 without requests.

    >>> low, high = rate_bounds(5, 100, 0.05)
    >>> round(low, 3), round(high, 3)
    (0.007, 0.156)
    """
    if requests <= 0:
        return 0.0, 1.0
    k, others = min(bad, requests), max(requests - bad, 0)
    mixture = _log_beta(k + 0.5, others + 0.5) - _log_beta(0.5, 0.5)
    limit = mixture + math.log(level)
    middle = k / requests

    def excluded(p: float) -> bool:
        return (k * math.log(p) if k else 0.0) + (others * math.log1p(-p) if others else 0.0) < limit

    low = 0.0 if k == 0 else _edge(excluded, 0.0, middle)
    high = 1.0 if others == 0 else _edge(excluded, 1.0, middle)
    return low, high


def ratio_bounds(canary_bad: int, baseline_bad: int, expected_share: float, level: float) -> tuple[float, float]:
    """Return the interval of the ratio of rates from the canary's part of the bad answers; at equal rates that part is
    `expected_share`.
    """
    if not 0 < expected_share < 1:
        return 0.0, math.inf
    low, high = rate_bounds(canary_bad, canary_bad + baseline_bad, level)
    even = (1 - expected_share) / expected_share
    return low / (1 - low) * even, math.inf if high >= 1 else high / (1 - high) * even


def _edge(excluded: Callable[[float], bool], outer: float, inner: float) -> float:
    """Return where exclusion begins between a point outside of the interval and one inside, by bisection."""
    for _ in range(_STEPS):
        middle = (outer + inner) / 2
        if middle in (outer, inner):
            break
        if excluded(middle):
            outer = middle
        else:
            inner = middle
    return outer


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
