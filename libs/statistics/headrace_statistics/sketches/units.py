"""Rows that belong together: those of one user, or of one request. How many independent rows they are worth.

Kept are the numbers of rows of the units whose hashes are smallest: a sample of units, the same however the stream was
cut and in whichever order parts are merged. And for each column sums over pairs of rows of one unit that came together:
how much alike they are.
"""

import math
from dataclasses import dataclass

import numpy as np

from headrace_statistics.arrays import Counts, Floats, counts, floats

MAX_UNITS = 512
# From fewer units nothing can be said of how they vary.
MIN_UNITS = 20


@dataclass(frozen=True, slots=True, eq=False)
class UnitCounts:
    """hashes: ascending; rows: of each of these units; shape (units,)."""

    hashes: Counts
    rows: Counts

    def merge(self, other: "UnitCounts") -> "UnitCounts":
        """Add up: exactly the units with the smallest hashes of both."""
        hashes, at = np.unique(np.r_[self.hashes, other.hashes], return_inverse=True)
        rows = np.bincount(at, weights=np.r_[self.rows, other.rows], minlength=hashes.size)
        return UnitCounts(counts(hashes[:MAX_UNITS]), counts(rows[:MAX_UNITS]))

    @property
    def companions(self) -> float:
        """How many other rows the unit of a row has, on average over rows; 0 where units are too few."""
        if self.hashes.size < MIN_UNITS:
            return 0.0
        rows = self.rows.astype(np.float64)
        return float(np.sum(rows**2) / rows.sum()) - 1


@dataclass(frozen=True, slots=True, eq=False)
class PairSums:
    """pairs: how many. sums: of numbers their values, squares and products over both of a pair; of categories how many
    pairs are alike, and how many would be by chance.
    """

    pairs: int
    sums: Floats

    def merge(self, other: "PairSums") -> "PairSums":
        return PairSums(self.pairs + other.pairs, floats(self.sums + other.sums))

    @property
    def likeness(self) -> float:
        """The intraclass correlation, 0 to 1: of two rows of one unit, as far as it is surely above none."""
        if self.pairs < 2:
            return 0.0
        if self.sums.size == 2:
            alike, by_chance = self.sums / self.pairs
            found = (alike - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0
        else:
            values, squares, products = self.sums / self.pairs
            mean, square = values / 2, squares / 2
            found = (products - mean**2) / (square - mean**2) if square > mean**2 else 0.0
        return min(max(float(found) - 3 / math.sqrt(self.pairs), 0.0) if found < 0.99 else 1.0, 1.0)


NO_UNITS = UnitCounts(counts([]), counts([]))


def count(hashes: Counts) -> UnitCounts:
    """Count rows by the hash of their unit."""
    unique, rows = np.unique(hashes, return_counts=True)
    return UnitCounts(counts(unique[:MAX_UNITS]), counts(rows[:MAX_UNITS]))


def neighbours(hashes: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of pairs of rows of one unit: each row with the unit's next one."""
    order = np.argsort(hashes, kind="stable")
    same = hashes[order[1:]] == hashes[order[:-1]]
    return order[:-1][same], order[1:][same]


def of_numbers(ranks: Floats, first: np.ndarray, second: np.ndarray) -> PairSums:
    """Sum pairs of numbers, by their ranks in the reference (0 to 1); NaN is left out."""
    one, two = ranks[first], ranks[second]
    known = np.isfinite(one) & np.isfinite(two)
    one, two = one[known], two[known]
    return PairSums(int(one.size), floats([(one + two).sum(), (one**2 + two**2).sum(), (one * two).sum()]))


def of_names(codes: Counts, first: np.ndarray, second: np.ndarray) -> PairSums:
    """Sum pairs of categories, by any numbers of these."""
    if not first.size:
        return PairSums(0, floats([0.0, 0.0]))
    shares = np.unique(codes, return_counts=True)[1] / codes.size
    alike = float((codes[first] == codes[second]).sum())
    return PairSums(int(first.size), floats([alike, first.size * float(np.sum(shares**2))]))


def design_effect(units: UnitCounts, pairs: PairSums | None) -> float:
    """Return how many rows say as much as one that is independent of all others (Kish 1965): 1 + (m - 1) rho, with m
    rows in a row's unit and the likeness rho of two of them.

    >>> design_effect(count(np.repeat(np.arange(100), 5)), PairSums(400, floats([400.0, 40.0])))
    5.0
    """
    return 1 + units.companions * (0.0 if pairs is None else pairs.likeness)
