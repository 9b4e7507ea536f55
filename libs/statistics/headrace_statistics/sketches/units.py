"""Rows that belong together: those of one user, or of one request. How many of them say as much as an independent one.

The variance of a mean over such rows is the sum over units of the square of their sums, however unequal units are. Each
unit has a bucket and a sign by its hash; the squares of the buckets' signed sums add up to that sum of squares, but for
chance (Charikar, Chen, Farach-Colton 2002). Buckets add up, however a unit's rows are divided among files, and a heavy
unit counts as heavily as it is.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse

from headrace_statistics.arrays import Counts, Floats, counts

# The sum of squares is off by 18 % (one standard deviation) where units are many and alike.
BUCKETS = 64
# Categories beyond so many, and new ones, share the last place.
CELLS = 12
# Rows that seem to belong together by no more than three times that are counted as independent.
_SEEMING = 1.5
# From so many units on, of equal size, their own mean is what they are compared with: a change that all rows share is
# no likeness of some. Of fewer it is the reference's, and what they all have in common counts as likeness.
_FEW_UNITS = 4.0
# Two-sided level of an hourly evaluation, at which a variance of few units is as uncertain as Student's t says.
_LEVEL = 3e-4


class Expected(NamedTuple):
    """Means of a reference: shares of the cells, and the rank."""

    shares: Floats
    rank: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class UnitSums:
    """Of rows by cell, which is a group of numbers or a category. rows: in each cell, shape (cells,). signed: the same
    by bucket, with the signs of their units; shape (cells, BUCKETS). ranks: of numbers, the sum of their ranks, of the
    squares, and of ranks with signs in each bucket; shape (2 + BUCKETS,), or empty.
    """

    rows: Counts
    signed: Counts
    ranks: Counts

    def merge(self, other: "UnitSums") -> "UnitSums":
        return UnitSums(
            counts(self.rows + other.rows), counts(self.signed + other.signed), counts(self.ranks + other.ranks)
        )

    def design_effect(self, expected: Expected | None = None) -> float:
        """Return how many rows say as much as one that is independent of all others, 1 or more (Kish 1965): by cells or
        by ranks, whichever is more.

        expected: of the reference, for windows of few units. Units are compared with the mean of all rows but their
        bucket's own: a heavy one is near to the mean of all because it makes up much of it. Where all rows are in one
        cell, as of embeddings, whose values are not compared: the number of rows in the unit of a row, on average.
        """
        rows, units = float(self.rows.sum()), self.signed.sum(axis=0).astype(np.float64)
        if rows < 2:
            return 1.0
        own = Expected(self.rows / rows, float(self.ranks[0]) / rows if self.ranks.size else 0.0)
        alike = rows**2 / max(float(units @ units), 1.0)
        if expected is not None and alike < _FEW_UNITS:
            return self._effect(rows, units, expected, np.ones(BUCKETS))
        found = self._effect(rows, units, own, _others(units, rows))
        return found if found == 1 else found * _uncertain(alike - 1)

    def _effect(self, rows: float, units: Floats, expected: Expected, weights: Floats) -> float:
        """weights: of each bucket's distance from what is expected of it."""
        shares = expected.shares
        apart = float(self.rows @ (1 - 2 * shares)) + rows * float(shares @ shares)
        together = float(np.sum((weights * (self.signed - np.outer(shares, units))) ** 2))
        found = together / apart if apart > 1e-9 * rows else float(units @ units) / rows
        if self.ranks.size:
            total, squares, signed = float(self.ranks[0]), float(self.ranks[1]), self.ranks[2:]
            apart = squares - 2 * expected.rank * total + rows * expected.rank**2
            if apart > 1e-9 * squares:
                found = max(found, float(np.sum((weights * (signed - expected.rank * units)) ** 2)) / apart)
        return found if found > _SEEMING else 1.0


class Units:
    """The units of a table's rows. hashes: of each row's."""

    def __init__(self, hashes: Counts) -> None:
        self.hashes = hashes
        mixed = _mixed(hashes)
        self._bucket = (mixed % np.uint64(BUCKETS)).astype(np.int64)
        self._sign = (mixed >> np.uint64(63)).astype(np.float64) * 2 - 1

    def summed(self, cells: Counts, size: int, ranks: Counts | None = None) -> UnitSums:
        """Sum rows. cells: of each row, -1 for what is left out. size: how many cells there are. ranks: of numbers."""
        known = cells >= 0
        cell, bucket, sign = cells[known], self._bucket[known], self._sign[known]
        signed = np.bincount(cell * BUCKETS + bucket, sign, size * BUCKETS).reshape(size, BUCKETS)
        ranked = np.zeros(0)
        if ranks is not None:
            rank = ranks[known]
            ranked = np.r_[rank.sum(), rank @ rank, np.bincount(bucket, sign * rank, BUCKETS)]
        return UnitSums(counts(np.bincount(cell, minlength=size)), counts(signed), counts(ranked))

    def exact_effect(self, codes: Counts, ranks: Counts | None = None) -> float:
        """Return the same of rows that are all here, held against the mean of all. codes: of groups or categories."""
        known = codes >= 0
        unique, place = np.unique(self.hashes[known], return_inverse=True)
        code = codes[known]
        if place.size < 2:
            return 1.0
        table = scipy.sparse.csr_array((np.ones(place.size), (place, code)), (unique.size, int(code.max()) + 1))
        table.sum_duplicates()
        rows, shares = table.sum(axis=1), table.sum(axis=0) / place.size
        apart = place.size * (1 - float(shares @ shares))
        together = float((table.data**2).sum() - 2 * rows @ (table @ shares) + (rows @ rows) * (shares @ shares))
        found = together / apart if apart > 0 else float(rows @ rows) / place.size
        if ranks is not None:
            rank = ranks[known] - ranks[known].mean()
            of_units = np.bincount(place, rank)
            found = max(found, float(of_units @ of_units) / max(float(rank @ rank), 1e-9))
        return found if found > _SEEMING else 1.0


def _others(units: Floats, rows: float) -> Floats:
    """Return how many times as far units of so many rows are from the mean of the others as from the mean of all (CR3:
    Bell, McCaffrey 2002).
    """
    return 1 / (1 - np.minimum(np.abs(units) / rows, 0.5))


def _uncertain(freedom: float) -> float:
    """Return by what to multiply a variance that was estimated with so many degrees of freedom, so that quantiles of
    the normal serve as those of Student's t.
    """
    furthest = scipy.special.stdtrit(max(freedom, 1.0), 1 - _LEVEL / 2) / scipy.special.ndtri(1 - _LEVEL / 2)
    return float(furthest) ** 2


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """Return hashes whose every bit depends on all of theirs (Steele, Lea, Flood 2014)."""
    mixed = hashes.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
