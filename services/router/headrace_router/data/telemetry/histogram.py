"""Durations in buckets that grow by a constant factor: any quantile within 0.6 %, merged by adding.

The bounds are those of OpenTelemetry's exponential histogram of scale 6 (and of Prometheus's native one of schema 6),
in seconds: 64 buckets each time a duration doubles, each from its lower bound inclusive.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate, zip_longest
from math import log2

BUCKETS_PER_DOUBLING = 64
# What is shorter counts as this long: a microsecond, and less than a clock tells reliably.
SHORTEST_LOG2_S = -20
# What is longer counts as this long: no deadline is later.
LONGEST_LOG2_S = 12
BUCKETS = (LONGEST_LOG2_S - SHORTEST_LOG2_S) * BUCKETS_PER_DOUBLING
RELATIVE_ERROR = (2 ** (1 / BUCKETS_PER_DOUBLING) - 1) / (2 ** (1 / BUCKETS_PER_DOUBLING) + 1)

_SHORTEST_S = 2.0**SHORTEST_LOG2_S
_LONGEST_S = 2.0**LONGEST_LOG2_S
_FIRST = SHORTEST_LOG2_S * BUCKETS_PER_DOUBLING


class Histogram:
    """counts: observations by bucket, as far as any was seen. sum_s: of all seconds."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Add one observation: an index and an increment."""
        try:
            index = int(log2(seconds) * BUCKETS_PER_DOUBLING - _FIRST) if seconds > _SHORTEST_S else 0
        except OverflowError:  # an infinite one
            index, seconds = BUCKETS, _LONGEST_S
        try:
            self.counts[index] += 1
        except IndexError:
            index = self._grow(index)
            self.counts[index] += 1
        self.sum_s += seconds

    def count(self) -> int:
        """Return the number of observations."""
        return sum(self.counts)

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """Return durations in seconds that these shares of the observations do not exceed. ValueError without any."""
        seen = list(accumulate(self.counts))
        if not seen:
            raise ValueError("nothing was observed")
        return [middle_s(bisect_right(seen, share * (seen[-1] - 1))) for share in shares]

    def up_to(self, bounds_s: Iterable[float]) -> list[int]:
        """Return how many observations do not exceed each of rising bounds, taken to the nearest edge of a bucket."""
        found, seen, at = [], 0, 0
        for bound in bounds_s:
            end = edge_of(bound)
            seen, at = seen + sum(self.counts[at:end]), end
            found.append(seen)
        return found

    def _grow(self, index: int) -> int:
        index = min(index, BUCKETS - 1)
        self.counts += [0] * (index + 1 - len(self.counts))
        return index


def merged(parts: Iterable[Histogram]) -> Histogram:
    """Return a histogram of all that several have seen."""
    total = Histogram()
    for part in parts:
        total.counts = [sum(pair) for pair in zip_longest(total.counts, part.counts, fillvalue=0)]
        total.sum_s += part.sum_s
    return total


def middle_s(index: int) -> float:
    """Return the duration that is as far, by ratio, from everything in a bucket as it can be."""
    lower = 2.0 ** ((index + _FIRST) / BUCKETS_PER_DOUBLING)
    return lower * (1 + RELATIVE_ERROR)


def edge_of(seconds: float) -> int:
    """Return the index of the bucket that begins nearest to a duration."""
    return min(max(0, round(log2(seconds) * BUCKETS_PER_DOUBLING) - _FIRST), BUCKETS)
