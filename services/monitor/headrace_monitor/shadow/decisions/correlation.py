"""Rank correlation of a sample of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headrace_monitor.shadow.decisions.comparisons import SampledRow

# Fewer rows say nothing.
LEAST_ROWS = 10


def rank_correlation(sample: Sequence[SampledRow]) -> float | None:
    """Return Spearman's rho: Pearson's of the ranks, ties having their mean. None for few rows, or a constant side.

    >>> rank_correlation([SampledRow(n, n, n**3) for n in range(10)])
    1.0
    """
    if len(sample) < LEAST_ROWS:
        return None
    mine, other = (_ranks(np.array([row[at] for row in sample])) for at in (1, 2))
    mine, other = mine - mine.mean(), other - other.mean()
    scale = float(np.sqrt((mine**2).sum() * (other**2).sum()))
    return None if scale == 0 else round(float((mine * other).sum()) / scale, 12)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[place]
