"""Wasserstein, Hellinger and Jensen-Shannon distances, for people who expect them. No test: they grow by chance."""

import math
from collections.abc import Mapping

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats
from headrace_statistics.references import NumericReference, NumericSummary


def of_counts(reference: ArrayLike, window: ArrayLike) -> Mapping[str, float]:
    """Return the distances of two distributions by counts on the same bins, each 0 to 1; none without rows.

    >>> {name: round(value, 3) for name, value in of_counts([5, 5], [10, 0]).items()}
    {'hellinger': 0.541, 'jensen_shannon': 0.558}
    """
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    if min(a.sum(), b.sum()) == 0:
        return {}
    p, q = a / a.sum(), b / b.sum()
    middle = (p + q) / 2
    divergence = float(np.sum(scipy.special.rel_entr(p, middle) + scipy.special.rel_entr(q, middle)) / 2)
    hellinger = math.sqrt(max(1 - float(np.sum(np.sqrt(p * q))), 0.0))
    return {"hellinger": hellinger, "jensen_shannon": math.sqrt(max(divergence / math.log(2), 0.0))}


def of_numbers(frozen: NumericReference, summary: NumericSummary) -> Mapping[str, float]:
    """Return the same of the groups that PSI compares, and Wasserstein's in standard deviations of the reference."""
    before, now = frozen.summary.bins.counts, summary.bins.counts
    found = dict(of_counts(*(np.bincount(frozen.groups, of) for of in (before, now))))
    spread = frozen.summary.moments.std
    if found and isinstance(spread, float) and spread > 0 and frozen.edges.inner.size > 1:
        found["wasserstein"] = _wasserstein(before, now, frozen.edges.inner, summary) / spread
    return found


def _wasserstein(before: ArrayLike, now: ArrayLike, inner: Floats, summary: NumericSummary) -> float:
    """Return the area between the distribution functions, as far as edges and the window's extremes tell them."""
    a, b = np.asarray(before, dtype=np.float64), np.asarray(now, dtype=np.float64)
    apart = np.abs(np.cumsum(a) / a.sum() - np.cumsum(b) / b.sum())[:-1]
    ends = [max(inner[0] - summary.moments.minimum, 0.0), max(summary.moments.maximum - inner[-1], 0.0)]
    between = (apart[1:] + apart[:-1]) / 2
    return float(np.dot(between, np.diff(inner)) + apart[0] * ends[0] / 2 + apart[-1] * ends[1] / 2)
