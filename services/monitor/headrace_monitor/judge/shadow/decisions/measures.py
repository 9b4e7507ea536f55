"""Metrics of a shadow version from comparisons, for promotion gates.

Values are rounded to the worse side, so that few distinct ones are recorded while pairs arrive: all are kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from headrace_monitor.judge.shadow.decisions.comparisons import Comparison, SampledRow

PAIRS, FLIP_RATE, WORST_SLICE = "shadow_pairs", "shadow_flip_rate", "shadow_flip_rate_worst_slice"
NAN_RATE, ERROR_RATE, CORRELATION = "shadow_nan_rate", "shadow_error_rate", "shadow_rank_correlation"
# A slice with fewer rows measures nothing.
SLICE_ROWS = 100
# Of one version: the registry takes 64 metrics at once.
SLICES = 40
_UNFIT = re.compile(r"[^a-z0-9]+")
_NAME_CHARS = 63


def measures(one: Comparison) -> dict[str, float]:
    """Return the metrics of a shadow's version: `shadow_flip_rate_country_at` is that of the attribute country=AT.

    >>> slice_name("country=AT")
    'shadow_flip_rate_country_at'
    """
    asked = one.pairs + sum(one.errors.values())
    if not asked:
        return {}
    found = {PAIRS: rounded(one.pairs, 2, up=False), ERROR_RATE: _rate(sum(one.errors.values()), asked)}
    if one.rows:
        found[NAN_RATE] = _rate(one.nan, one.rows)
    correlation = rank_correlation(one.sample)
    if correlation is not None:
        found[CORRELATION] = math.floor(correlation * 1000) / 1000
    if one.flips.of:
        found[FLIP_RATE] = _rate(one.flips.count, one.flips.of)
        frequent = [item for item in one.slices.items() if item[1].rows >= SLICE_ROWS]
        rates = {name: _rate(counts.flips, counts.rows) for name, counts in frequent}
        found[WORST_SLICE] = max(rates.values(), default=found[FLIP_RATE])
        for name, counts in sorted(frequent, key=lambda item: -item[1].rows)[:SLICES]:
            key = slice_name(name)
            # Two attributes that are written alike have the worse one's rate.
            found[key] = max(found.get(key, 0.0), _rate(counts.flips, counts.rows))
    return found


def slice_name(name: str) -> str:
    """Return what the share of flips of an attribute is called."""
    return f"{FLIP_RATE}_{_UNFIT.sub('_', name.lower()).strip('_')}"[:_NAME_CHARS].rstrip("_")


def rounded(value: float, digits: int, *, up: bool) -> float:
    """Return a number of that many significant digits, no smaller, or no larger.

    >>> rounded(10_499, 2, up=False), rounded(0.0012345, 3, up=True)
    (10000.0, 0.00124)
    """
    if value <= 0:
        return 0.0
    places = digits - 1 - math.floor(math.log10(value))
    scaled = round(value * 10.0**places, 9)
    return round((math.ceil(scaled) if up else math.floor(scaled)) / 10.0**places, max(0, places))


def _rate(count: int, of: int) -> float:
    return rounded(count / of, 3, up=True)


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
