"""Embeddings as means of random Fourier features: bounded, mergeable, and enough for a two-sample test.

The distance of two such means is the maximum mean discrepancy of a Gaussian kernel (Rahimi, Recht 2007; Gretton et al.
2012, JMLR 13), which sees any change of distribution that has the kernel's scale, not only one of the mean.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace_statistics.arrays import Floats, floats, thinned
from headrace_statistics.inconclusive import Constant, NotEnoughData

FREQUENCIES = 256
MIN_REFERENCE = 200
_PAIRS = 5_000
# Rows at a time: 4096 x 256 float64 are 8 MiB.
_ROWS = 4_096
# Beyond it the square overflows; nothing that was trained is there.
_ABSURD = 1e100


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingSpace:
    """frequencies: shape (dimensions, FREQUENCIES). centre: shape (dimensions,), the reference's mean.

    spread: root mean square distance of the reference to its centre, the unit of shifts.
    """

    frequencies: Floats
    centre: Floats
    spread: float

    @property
    def dimensions(self) -> int:
        return self.frequencies.shape[0]

    @property
    def digest(self) -> str:
        return hashlib.blake2b(self.frequencies.tobytes() + self.centre.tobytes(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingSums:
    """sums: shape (2, FREQUENCIES), sums of cosines and of sines over `count` rows. unusable: rows of another length or
    with anything that is not finite."""

    count: int
    sums: Floats
    unusable: int
    space: str

    @property
    def rows(self) -> int:
        return self.count + self.unusable

    @property
    def mean(self) -> Floats:
        """Scaled so that every row has length 1."""
        return self.sums / (max(self.count, 1) * math.sqrt(self.sums.shape[-1]))

    def merge(self, other: "EmbeddingSums") -> "EmbeddingSums":
        """Add up, equal in any order up to rounding. Raises ValueError for sums in another space."""
        if self.space != other.space:
            raise ValueError(f"sums in spaces {self.space} and {other.space} cannot be added")
        return EmbeddingSums(
            self.count + other.count, floats(self.sums + other.sums), self.unusable + other.unusable, self.space
        )

    def thinned(self, share: float) -> "EmbeddingSums":
        """Return what is expected of such a share of the rows, drawn by chance: the same means."""
        count, unusable = thinned([self.count, self.unusable], share).tolist()
        return EmbeddingSums(count, floats(self.sums * (count / max(self.count, 1))), unusable, self.space)


def freeze(values: ArrayLike, rng: np.random.Generator) -> EmbeddingSpace | NotEnoughData | Constant:
    """Choose features for the scale of a reference, shape (rows, dimensions): the median distance of its pairs."""
    rows = _usable(values, None)
    if rows.shape[0] < MIN_REFERENCE:
        return NotEnoughData(have=rows.shape[0], need=MIN_REFERENCE)
    first, second = rng.integers(0, rows.shape[0], (2, _PAIRS))
    scale = float(np.median(np.linalg.norm(rows[first] - rows[second], axis=1)))
    centre = rows.mean(axis=0)
    spread = float(np.sqrt(np.mean(np.sum((rows - centre) ** 2, axis=1))))
    if not scale > 0 or not spread > 0:
        return Constant(value=float(centre[0]))
    frequencies = rng.standard_normal((rows.shape[1], FREQUENCIES)) / scale
    return EmbeddingSpace(floats(frequencies), floats(centre), spread)


def summarise(values: ArrayLike, space: EmbeddingSpace) -> EmbeddingSums:
    """Summarise embeddings, shape (rows, dimensions)."""
    array = np.asarray(values, dtype=np.float64)
    total = array.shape[0] if array.ndim else 0
    rows = _usable(array, space.dimensions)
    sums = np.zeros((2, FREQUENCIES))
    for start in range(0, rows.shape[0], _ROWS):
        cosines, sines = features(rows[start : start + _ROWS], space)
        sums += np.stack([cosines.sum(axis=0), sines.sum(axis=0)])
    return EmbeddingSums(rows.shape[0], floats(sums), total - rows.shape[0], space.digest)


def features(rows: Floats, space: EmbeddingSpace) -> tuple[Floats, Floats]:
    """Return cosines and sines of rows (n, dimensions), shape (n, FREQUENCIES) each."""
    angles = (rows - space.centre) @ space.frequencies
    return np.cos(angles), np.sin(angles)


def _usable(values: ArrayLike, dimensions: int | None) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0 or (dimensions is not None and array.shape[1] != dimensions):
        return np.zeros((0, dimensions or 1))
    with np.errstate(invalid="ignore"):
        return array[(np.abs(array) < _ABSURD).all(axis=1)]
