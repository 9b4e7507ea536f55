"""Quantiles of a stream with at most 1 % relative error, from counts that merge by addition.

DDSketch (Masson, Rim, Lee 2019, VLDB 12(12)): a positive value x falls in bucket ceil(log_g x), g = (1+a)/(1-a), and
every value of a bucket is within a of its representative 2 g^i/(g+1). Rank-error sketches (KLL, t-digest) were left
aside: on two far-apart modes their P99 is off by most of the distance.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from headrace_monitor.statistics.arrays import Counts, Floats, counts
from headrace_monitor.statistics.unsaid import NotEnoughData, OutOfRange, Unsaid

RELATIVE_ERROR = 0.01
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
LOG_GAMMA = math.log(GAMMA)

# A fixed range, not one that follows the data: a single value of 1e300 must not cost the others their buckets, and a
# bound that does not move is what makes merging exact in any order.
SMALLEST = 1e-12
LARGEST = 1e15
_FIRST = math.ceil(math.log(SMALLEST) / LOG_GAMMA)
_LAST = math.ceil(math.log(LARGEST) / LOG_GAMMA)
BUCKETS = _LAST - _FIRST + 1


@dataclass(frozen=True, slots=True, eq=False)
class QuantileSketch:
    """Counts by bucket of magnitude, for either sign.

    positive, negative: shape (BUCKETS,); magnitudes from LARGEST on share the last bucket. zero: magnitudes below
    SMALLEST. missing: NaN. Infinities count as the largest magnitudes. minimum, maximum: exact, +inf and -inf while
    empty.
    """

    positive: Counts
    negative: Counts
    zero: int
    missing: int
    minimum: float
    maximum: float

    @property
    def count(self) -> int:
        return int(self.positive.sum()) + int(self.negative.sum()) + self.zero

    def merge(self, other: "QuantileSketch") -> "QuantileSketch":
        """Return the sketch of both streams: the same, to the bit, in whatever order streams are merged."""
        return QuantileSketch(
            positive=counts(self.positive + other.positive),
            negative=counts(self.negative + other.negative),
            zero=self.zero + other.zero,
            missing=self.missing + other.missing,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
        )

    def quantile(self, q: float) -> float | Unsaid:
        """Return the value of rank floor(q (count - 1)) from below, within RELATIVE_ERROR. q: from 0 to 1."""
        total = self.count
        if total == 0:
            return NotEnoughData(have=0, need=1)
        rank = min(max(math.floor(q * (total - 1)), 0), total - 1)
        ladder = np.concatenate([self.negative[::-1], [self.zero], self.positive])
        step = int(np.searchsorted(np.cumsum(ladder), rank, side="right"))
        position = step - BUCKETS
        if position == 0:
            return 0.0
        magnitude = abs(position) - 1
        if magnitude == BUCKETS - 1:
            return OutOfRange(bound=LARGEST)
        value = math.copysign(representative(magnitude + _FIRST), position)
        return min(max(value, self.minimum), self.maximum)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuantileSketch):
            return NotImplemented
        return (
            (self.zero, self.missing, self.minimum, self.maximum)
            == (other.zero, other.missing, other.minimum, other.maximum)
            and np.array_equal(self.positive, other.positive)
            and np.array_equal(self.negative, other.negative)
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType]


_NONE = counts(np.zeros(BUCKETS))
EMPTY = QuantileSketch(_NONE, _NONE, zero=0, missing=0, minimum=math.inf, maximum=-math.inf)


def representative(index: int) -> float:
    """Return the value that stands for bucket `index`, (g^(index-1), g^index]."""
    return 2 * math.exp(index * LOG_GAMMA) / (GAMMA + 1)


def sketch(values: ArrayLike) -> QuantileSketch:
    """Summarise values of any shape."""
    array = np.asarray(values, dtype=np.float64).ravel()
    array = array[~np.isnan(array)]
    missing = int(np.size(values)) - array.size
    if array.size == 0:
        return QuantileSketch(_NONE, _NONE, 0, missing, math.inf, -math.inf)
    magnitudes = np.abs(array)
    small = magnitudes < SMALLEST
    return QuantileSketch(
        positive=_buckets(magnitudes[(array > 0) & ~small]),
        negative=_buckets(magnitudes[(array < 0) & ~small]),
        zero=int(small.sum()),
        missing=missing,
        minimum=float(array.min()),
        maximum=float(array.max()),
    )


def from_buckets(positive: Mapping[int, int], *, zero: int = 0, minimum: float, maximum: float) -> QuantileSketch:
    """Take over counts by bucket index of any sketch with the same rule, such as those of data planes.

    Indices outside of the range count as its ends, which is where values of their size belong.
    """
    into = np.zeros(BUCKETS, dtype=np.int64)
    for index, count in positive.items():
        if index < _FIRST:
            zero += count
        else:
            into[min(index, _LAST) - _FIRST] += count
    return QuantileSketch(counts(into), _NONE, zero, 0, minimum, maximum)


def _buckets(magnitudes: Floats) -> Counts:
    indices = np.ceil(np.log(np.minimum(magnitudes, LARGEST)) / LOG_GAMMA).astype(np.int64)
    return counts(np.bincount(np.clip(indices, _FIRST, _LAST) - _FIRST, minlength=BUCKETS))
