"""How long answers took, as counts in the buckets that data planes use.

Bucket i, from 0, begins at 2^(i/64 - 20) seconds, inclusive: any quantile is within 0.54 %, whatever is merged in
whatever order. Sketches that bound the error in rank (KLL, t-digest) were left aside: on two far-apart modes, such as
cached and computed answers, their P99 is off by most of the distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BUCKETS_PER_DOUBLING = 64
SHORTEST_LOG2_S = -20
LONGEST_LOG2_S = 12
BUCKETS = (LONGEST_LOG2_S - SHORTEST_LOG2_S) * BUCKETS_PER_DOUBLING
_FACTOR = 2 ** (1 / BUCKETS_PER_DOUBLING)
RELATIVE_ERROR = (_FACTOR - 1) / (_FACTOR + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Durations:
    """first: bucket of the first count. counts: int64, from there on; neither the first nor the last is zero."""

    first: int
    counts: NDArray[np.int64]

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    def minus(self, other: Durations) -> Durations:
        """Return those of this one that the other one, which this one covers, has not."""
        counts = self.counts.copy()
        if other.counts.size:
            begin = other.first - self.first
            counts[begin : begin + other.counts.size] -= other.counts
        return durations(self.first, counts)

    def covers(self, other: Durations) -> bool:
        """Return whether no bucket has fewer than in the other one."""
        begin = other.first - self.first
        end = begin + other.counts.size
        if not other.counts.size:
            return True
        return begin >= 0 and end <= self.counts.size and bool((self.counts[begin:end] >= other.counts).all())

    def quantile_s(self, q: float) -> float:
        """Return the duration of rank floor(q (count - 1)) from below, within RELATIVE_ERROR. ValueError for none."""
        if not self.counts.size:
            raise ValueError("no duration was counted")
        seen = np.cumsum(self.counts)
        rank = math.floor(q * (int(seen[-1]) - 1))
        return middle_s(self.first + int(np.searchsorted(seen, rank, side="right")))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Durations):
            return NotImplemented
        return self.first == other.first and np.array_equal(self.counts, other.counts)

    __hash__: Any = None


def durations(first: int, counts: ArrayLike) -> Durations:
    """Return counts from bucket `first` on, without zeros at either end."""
    array = np.asarray(counts, dtype=np.int64)
    if array.size and array[0] and array[-1]:
        return Durations(first, array)
    (counted,) = array.nonzero()
    if not counted.size:
        return NONE
    begin, end = int(counted[0]), int(counted[-1]) + 1
    return Durations(first + begin, array[begin:end])


NONE = Durations(0, np.zeros(0, dtype=np.int64))


def merge(parts: Iterable[Durations]) -> Durations:
    """Return all durations of all parts; of whatever order the same."""
    total = np.zeros(BUCKETS, dtype=np.int64)
    for part in parts:
        total[part.first : part.first + part.counts.size] += part.counts
    return durations(0, total)


def middle_s(bucket: int) -> float:
    """Return the duration that is as near, by ratio, to both ends of a bucket as it can be."""
    return 2.0 ** (bucket / BUCKETS_PER_DOUBLING + SHORTEST_LOG2_S) * (1 + RELATIVE_ERROR)
