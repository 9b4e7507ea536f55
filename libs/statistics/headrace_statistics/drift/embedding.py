"""Have embeddings moved by more than is tolerated? A two-sample test whose tolerance is a length."""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.drift.psi import clean_factor
from headrace_statistics.inconclusive import NotEnoughData
from headrace_statistics.sketches.embeddings import EmbeddingSpace, EmbeddingSums, features
from headrace_statistics.tails import noncentral_chi2

MIN_ROWS = 50
# Rows of the reference that its covariance is estimated from.
_SAMPLE = 20_000
_DIRECTIONS = 1_000


@dataclass(frozen=True, slots=True)
class Law:
    """How far the mean of n rows strays by chance, from the eigenvalues of the features' covariance, per row.

    trace, trace_of_square, largest: their sum, the sum of their squares, the largest. tallest: how much further than on
    average a shift moves the mean, squared, in the direction that only one of 100 exceeds; >= 1.
    """

    trace: float
    trace_of_square: float
    largest: float
    tallest: float


@dataclass(frozen=True, slots=True)
class EmbeddingChange:
    """statistic: squared distance of the means (MMD squared). effect, tolerance: a shift of all embeddings, in units of
    the reference's spread, that moves the means as far. p: of a true distance no larger than the tolerance's."""

    statistic: float
    effect: float
    p: float
    tolerance: float
    n_reference: int
    n_window: int


def law(values: ArrayLike, space: EmbeddingSpace, rng: np.random.Generator) -> Law:
    """Estimate the law from the reference, shape (rows, dimensions)."""
    rows = np.asarray(values, dtype=np.float64)
    rows = rows[np.isfinite(rows).all(axis=1)][:_SAMPLE]
    mapped = np.concatenate(features(rows, space), axis=1) / math.sqrt(space.frequencies.shape[1])
    eigenvalues = np.linalg.eigvalsh(np.cov(mapped, rowvar=False))
    directions = rng.standard_normal((_DIRECTIONS, space.dimensions))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = np.sum(mapped.mean(axis=0).reshape(2, -1) ** 2, axis=0)
    moved = ((directions @ space.frequencies) ** 2) @ lengths
    tallest = max(float(np.quantile(moved, 0.99) / moved.mean()), 1.0)
    return Law(float(eigenvalues.sum()), float((eigenvalues**2).sum()), float(eigenvalues[-1]), tallest)


def compare(
    reference: EmbeddingSums, window: EmbeddingSums, space: EmbeddingSpace, law: Law, *, tolerance: float
) -> EmbeddingChange | NotEnoughData:
    """Is the distance of the two distributions larger than that of a shift by `tolerance` spreads?

    With noise c = trace/n + trace/m, the squared distance is about a scaled noncentral chi-square whose first two
    moments are matched (Welch, Satterthwaite), and it is held, too, against a normal with the largest spread that any
    direction of change may have. The window's own trace is 1 - |mean|^2, since every row has length 1.
    """
    n, m = reference.count, window.count
    if min(n, m) < MIN_ROWS:
        return NotEnoughData(have=min(n, m), need=MIN_ROWS)
    distance = float(np.sum((reference.mean - window.mean) ** 2))
    noise = law.trace / n + (1 - float(np.sum(window.mean**2))) / m
    # Some directions show more than others; a shift within the tolerance raises no alarm in 99 of 100 of them.
    allowed = distance_of_shift(tolerance, reference, space) * law.tallest
    degrees = law.trace**2 / law.trace_of_square
    unit = noise / degrees
    spread = math.sqrt(2 * noise**2 / degrees + 4 * allowed * law.largest * noise / law.trace)
    p = max(
        float(noncentral_chi2(distance / unit, degrees, allowed / unit)),
        float(scipy.special.ndtr(-(distance - allowed - noise) / spread)),
        min(clean_factor(tolerance) * float(scipy.special.chdtrc(degrees, distance / unit)), 1.0),
    )
    effect = _shift_of_distance(max(distance - noise, 0.0), reference, space)
    return EmbeddingChange(distance, effect, p, tolerance, n, m)


def distance_of_shift(shift: float, reference: EmbeddingSums, space: EmbeddingSpace) -> float:
    """Return the squared distance that moving every embedding by `shift` spreads makes, averaged over directions.

    A shift turns each feature by an angle: |1 - e^(i w d)|^2 = 2 - 2 cos(w d).
    """
    n = reference.count
    squares = np.sum(reference.sums**2, axis=0)
    # Without the part that n rows have by chance.
    lengths = np.maximum((squares - n) / (n * (n - 1)), 0.0)
    turned = np.sum(space.frequencies**2, axis=0) * (shift * space.spread) ** 2 / space.dimensions
    return float(np.mean(lengths * (2 - 2 * np.exp(-turned / 2))))


def _shift_of_distance(distance: float, reference: EmbeddingSums, space: EmbeddingSpace) -> float:
    low, high = 0.0, 10.0
    if distance_of_shift(high, reference, space) <= distance:
        return high
    for _ in range(40):
        middle = (low + high) / 2
        if distance_of_shift(middle, reference, space) < distance:
            low = middle
        else:
            high = middle
    return high if distance > 0 else 0.0
