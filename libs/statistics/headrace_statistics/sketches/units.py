"""Rows that belong together: those of one user, or of one request. How many of them say as much as an independent one.

The variance of a mean over such rows is the sum over units of the square of their sums, however unequal units are. Kept
are sums in which each unit has a sign of its own, drawn by its hash: the mean of their squares is that sum of squares
(Alon, Matias, Szegedy 1996), and they add up, however a unit's rows are divided among files. One heavy unit counts as
heavily as it is.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from headrace_statistics.arrays import Counts, Floats, floats

# Independent draws of all signs: their mean is off by 18 % (one standard deviation) where units are many and alike.
DRAWS = 64
# Rows that seem to belong together by no more than three times that are counted as independent.
_SEEMING = 1.5
# Units at a time: the signs of a large file's stay small.
_UNITS = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class UnitSums:
    """Of each view of the values, such as their ranks: squares: sum of the rows' squares, shape (views,). sums: shape
    (views, 3, DRAWS), of the signs of the rows' units, of values by these signs, and of values. Of categories values
    are signs too, drawn by their names for each draw. Whole numbers, so that they add up to the same in any order.
    """

    rows: int
    squares: Floats
    sums: Floats

    def merge(self, other: "UnitSums") -> "UnitSums":
        return UnitSums(self.rows + other.rows, floats(self.squares + other.squares), floats(self.sums + other.sums))

    def design_effect(self, expected: Floats | None = None) -> float:
        """Return how many rows say as much as one that is independent of all others, 1 or more (Kish 1965): in the view
        in which those of a unit are most alike.

        expected: mean values, shape (views, DRAWS), from which a heavy unit is not far only because it makes up much of
        the rows' own mean; else that is taken. Where all values are alike, as of embeddings, whose rows within a unit
        are not told apart: the number of rows in the unit of a row, on average over rows.
        """
        if self.rows < 2:
            return 1.0
        means = self.sums[:, 2] / self.rows if expected is None else expected
        found = max(map(self._seen, self.squares.tolist(), self.sums, means))
        return found if found > _SEEMING else 1.0

    def _seen(self, squares: float, sums: Floats, mean: Floats) -> float:
        units, together, values = sums
        apart = float(np.mean(squares - 2 * mean * values + self.rows * mean**2))
        if apart <= 1e-9 * squares:
            return float(np.mean(units**2)) / self.rows
        return float(np.mean((together - mean * units) ** 2)) / apart


class Units:
    """The units of a table's rows. hashes: of each row's."""

    def __init__(self, hashes: Counts) -> None:
        self.hashes = hashes
        self._unique, self._place = np.unique(hashes, return_inverse=True)

    def of_rows(self) -> UnitSums:
        """Sum rows that are not told apart."""
        units, zero = self._signed(np.bincount(self._place, minlength=self._unique.size)), np.zeros(DRAWS)
        return UnitSums(self._place.size, floats([0.0]), floats([[units, zero, zero]]))

    def of_numbers(self, ranks: Counts, groups: Counts) -> UnitSums:
        """Sum numbers, by their ranks and by the groups of these that are compared. ranks: -1 is left out."""
        known = ranks >= 0
        place, rank = self._place[known], ranks[known].astype(np.float64)
        units = self._signed(np.bincount(place, minlength=self._unique.size))
        together = self._signed(np.bincount(place, rank, minlength=self._unique.size))
        by_rank = [units, together, np.full(DRAWS, rank.sum())]
        grouped = self._of_codes(place, groups[known], signs_of_groups(int(groups.max(initial=0)) + 1))
        return UnitSums(rank.size, floats([float(rank @ rank), float(rank.size)]), floats([by_rank, grouped]))

    def of_names(self, codes: Counts, names: Sequence[str]) -> UnitSums:
        """Sum categories. codes: which of the names each row has, -1 for none, which is left out."""
        known = codes >= 0
        sums = self._of_codes(self._place[known], codes[known], signs_of_names(names))
        return UnitSums(int(known.sum()), floats([float(known.sum())]), floats([sums]))

    def exact_effect(self, codes: Counts, ranks: Counts | None = None) -> float:
        """Return the same as `UnitSums.design_effect`, of rows that are all here. codes: of groups or categories."""
        known = codes >= 0
        place, code = self._place[known], codes[known]
        if place.size < 2:
            return 1.0
        table = scipy.sparse.csr_array((np.ones(place.size), (place, code)), (self._unique.size, int(code.max()) + 1))
        table.sum_duplicates()
        rows, shares = table.sum(axis=1), table.sum(axis=0) / place.size
        apart = place.size * (1 - float(shares @ shares))
        together = float((table.data**2).sum() - 2 * rows @ (table @ shares) + (rows @ rows) * (shares @ shares))
        found = together / apart if apart > 0 else float(rows @ rows) / place.size
        if ranks is not None:
            rank = ranks[known] - ranks[known].mean()
            of_units = np.bincount(place, rank, minlength=self._unique.size)
            found = max(found, float(of_units @ of_units) / max(float(rank @ rank), 1e-9))
        return found if found > _SEEMING else 1.0

    def _of_codes(self, place: np.ndarray, codes: Counts, drawn: np.ndarray) -> list[np.ndarray]:
        table = scipy.sparse.csr_array((np.ones(place.size), (place, codes)), (self._unique.size, len(drawn)))
        together = np.zeros(DRAWS)
        for start in range(0, self._unique.size, _UNITS):
            part = slice(start, start + _UNITS)
            together += np.einsum("ud,ud->d", _signs(self._unique[part]), table[part] @ drawn)
        units = self._signed(np.bincount(place, minlength=self._unique.size))
        return [units, together, np.bincount(codes, minlength=len(drawn)) @ drawn]

    def _signed(self, of_units: np.ndarray) -> np.ndarray:
        """Return the sums of what each unit has, by its signs."""
        total = np.zeros(DRAWS)
        for start in range(0, of_units.size, _UNITS):
            part = slice(start, start + _UNITS)
            total += of_units[part] @ _signs(self._unique[part])
        return total


def signs_of_groups(groups: int) -> np.ndarray:
    """Return the values of groups of numbers, shape (groups, DRAWS)."""
    return _signs(np.arange(groups))


def signs_of_names(names: Sequence[str]) -> np.ndarray:
    """Return the values of categories, shape (names, DRAWS)."""
    return _signs(np.array([_hash(name) for name in names], dtype=np.int64))


def _signs(hashes: np.ndarray) -> np.ndarray:
    """Return signs of hashes, shape (hashes, DRAWS): the bits of each, mixed (Steele, Lea, Flood 2014)."""
    mixed = hashes.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    bits = np.unpackbits(mixed.astype("<u8").view(np.uint8).reshape(-1, DRAWS // 8), axis=1)
    return bits * 2.0 - 1.0


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big")
