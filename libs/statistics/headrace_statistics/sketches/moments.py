"""Count, mean and spread of a stream, merged without the values (Chan, Golub, LeVeque 1983)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from headrace_statistics.arrays import finite
from headrace_statistics.inconclusive import Inconclusive, NotEnoughData, NotFinite


@dataclass(frozen=True, slots=True)
class Moments:
    """Of the finite values. m2: sum of squared distances to the mean; inf when it is beyond float64.

    left_out: values that were NaN or infinite. minimum, maximum: +inf and -inf while empty.

    >>> moments([1.0, 3.0]).merge(moments([5.0, float("nan")]))
    Moments(count=3, mean=3.0, m2=8.0, minimum=1.0, maximum=5.0, left_out=1)
    """

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    left_out: int = 0

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both streams, equal in any order up to rounding."""
        left_out = self.left_out + other.left_out
        if self.count == 0 or other.count == 0:
            full = other if self.count == 0 else self
            return Moments(full.count, full.mean, full.m2, full.minimum, full.maximum, left_out)
        count = self.count + other.count
        # Weighted means rather than mean + distance: the distance of -1e308 and 1e308 is not a float64.
        minimum, maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        mean = self.mean * (self.count / count) + other.mean * (other.count / count)
        mean = min(max(mean, minimum), maximum)  # rounding may lead beyond, near the largest float to infinity
        apart = other.mean / 2 - self.mean / 2
        m2 = self.m2 + other.m2 + 4 * apart * (apart * (self.count / count) * other.count)
        return Moments(count, mean, m2, minimum, maximum, left_out)

    def thinned(self, share: float) -> "Moments":
        """Return what is expected of such a share of the values, drawn by chance; the extremes stay."""
        count = round(self.count * share)
        if count == 0:
            return Moments(left_out=round(self.left_out * share))
        m2 = self.m2 * (count / self.count)
        return Moments(count, self.mean, m2, self.minimum, self.maximum, round(self.left_out * share))

    @property
    def variance(self) -> float | Inconclusive:
        """Unbiased."""
        if self.count < 2:
            return NotEnoughData(have=self.count, need=2)
        if not math.isfinite(self.m2):
            return NotFinite(count=1, of=self.count)
        return self.m2 / (self.count - 1)

    @property
    def std(self) -> float | Inconclusive:
        variance = self.variance
        return math.sqrt(variance) if isinstance(variance, float) else variance


def moments(values: ArrayLike) -> Moments:
    """Summarise values of any shape."""
    array = finite(values)
    left_out = int(np.size(values)) - array.size
    if array.size == 0:
        return Moments(left_out=left_out)
    minimum, maximum = float(array.min()), float(array.max())
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(array.mean())
        if not math.isfinite(mean):
            mean = float((array / array.size).sum())
        mean = min(max(mean, minimum), maximum)
        away = array - mean
        # No dot product: the threads that BLAS divides it among cost more than it does.
        m2 = float(np.square(away).sum())
    if math.isnan(m2):
        m2 = math.inf
    return Moments(array.size, mean, m2, minimum, maximum, left_out)
