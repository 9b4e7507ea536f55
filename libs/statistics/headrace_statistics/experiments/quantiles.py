"""An interval of a quantile that holds at every look, for any distribution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from headrace_statistics.arrays import finite
from headrace_statistics.canary.intervals import rate_bounds
from headrace_statistics.inconclusive import NotEnoughData


def quantile_bounds(
    values: ArrayLike, quantile: float, alpha: float, counts: ArrayLike | None = None
) -> tuple[float, float, float] | NotEnoughData:
    """Return the quantile with its lower and upper bound; an end without enough values beyond it is infinite.

    The values at most the quantile are a share `quantile` of all: an order statistic is a bound where the beta-binomial
    confidence sequence of its share excludes that (Howard, Ramdas, Bernoulli 28(3), 2022, in its fixed-quantile form).
    counts: how often each value was seen, for values in bins.

    >>> low, middle, high = quantile_bounds(range(1001), 0.5, 0.05)
    >>> low, middle, high
    (441.0, 500.0, 559.0)
    """
    data = np.asarray(values, dtype=np.float64).ravel() if counts is not None else finite(values)
    weights = np.ones(data.size, dtype=np.int64) if counts is None else np.asarray(counts, dtype=np.int64)
    order = np.argsort(data, kind="stable")
    data, upto = data[order], np.cumsum(weights[order])
    units = int(upto[-1]) if upto.size else 0
    if units < 1:
        return NotEnoughData(have=units, need=1)
    rank = max(1, int(np.ceil(quantile * units)))
    low_rank, high_rank = _ranks(units, quantile, alpha)
    low = -np.inf if low_rank < 1 else data[np.searchsorted(upto, low_rank)]
    high = np.inf if high_rank > units else data[np.searchsorted(upto, high_rank)]
    return float(low), float(data[np.searchsorted(upto, rank)]), float(high)


def _ranks(units: int, quantile: float, alpha: float) -> tuple[int, int]:
    """Return the highest rank of which too few, and the lowest of which too many values would be at most it."""
    inside = round(quantile * units)
    low = _first(-1, inside, lambda rank: rate_bounds(rank, units, alpha)[1] < quantile)
    high = _first(units + 1, inside, lambda rank: rate_bounds(rank - 1, units, alpha)[0] > quantile)
    return low, high


def _first(outer: int, inner: int, excluded: Callable[[int], bool]) -> int:
    """Return the last excluded rank between one that counts as excluded and one that is not, by bisection."""
    while abs(outer - inner) > 1:
        middle = (outer + inner) // 2
        if excluded(middle):
            outer = middle
        else:
            inner = middle
    return outer
