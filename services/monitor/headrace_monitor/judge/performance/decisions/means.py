"""Means of weighed rows, mergeable. A row that is in the log with probability p stands for 1/p rows (Hájek 1971)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Mean:
    """rows: with a value. weight, squares: sums of their weights and of the squares of these. spread: weighed sum of
    squared distances to the mean. low, high: smallest and largest value.
    """

    rows: int = 0
    weight: float = 0.0
    squares: float = 0.0
    mean: float = 0.0
    spread: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    @property
    def effective_rows(self) -> float:
        """How many rows of equal weight would say as much (Kish 1965); `rows`, when weights are equal."""
        return self.weight**2 / self.squares if self.squares else 0.0

    @property
    def std(self) -> float | None:
        """Return the standard deviation of the values; None for fewer than two, and beyond float64."""
        effective = self.effective_rows
        if effective <= 1 or not math.isfinite(self.spread):
            return None
        return math.sqrt(self.spread / self.weight * effective / (effective - 1))

    def merge(self, other: Mean) -> Mean:
        """Return the mean of both (Chan, Golub, LeVeque 1983)."""
        if not self.rows or not other.rows:
            return other if not self.rows else self
        weight = self.weight + other.weight
        # Weighted means rather than mean + distance: the distance of -1e308 and 1e308 is not a float64.
        mean = self.mean * (self.weight / weight) + other.mean * (other.weight / weight)
        apart = other.mean / 2 - self.mean / 2
        spread = self.spread + other.spread + 4 * apart * (apart * (self.weight / weight) * other.weight)
        return Mean(
            self.rows + other.rows,
            weight,
            self.squares + other.squares,
            mean,
            spread,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the mean, by Student's t; None for fewer than two rows."""
        from scipy import special

        std, effective = self.std, self.effective_rows
        if std is None:
            return None
        half = float(special.stdtrit(effective - 1, 1 - LEVEL / 2)) * std / math.sqrt(effective)
        return self.mean - half, self.mean + half

    def share_interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of a share (values are 0 and 1), exact where weights are equal."""
        from headrace_statistics.proportions import Proportion, interval

        effective = round(self.effective_rows)
        return interval(Proportion(round(self.mean * effective), effective), LEVEL) if effective else None


def mean_of(values: Floats, weights: Floats) -> Mean:
    """Summarise values; those that are not finite are left out."""
    known = np.isfinite(values)
    if not known.any():
        return Mean()
    value, weight = values[known], weights[known]
    total = float(weight.sum())
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.dot(value, weight)) / total
        if not math.isfinite(mean):
            mean = float(np.dot(value, weight / total))
        spread = float(np.dot(weight, (value - mean) ** 2))
    spread = math.inf if math.isnan(spread) else spread
    return Mean(value.size, total, float(np.dot(weight, weight)), mean, spread, float(value.min()), float(value.max()))
