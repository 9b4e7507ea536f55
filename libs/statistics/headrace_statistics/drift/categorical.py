"""Have the shares of categories changed by more than is tolerated? By chi-square, or exactly where rows are few."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from headrace_statistics.arrays import Floats
from headrace_statistics.drift.psi import clean_factor
from headrace_statistics.inconclusive import NotEnoughData
from headrace_statistics.proportions import Proportion, fall, rise
from headrace_statistics.sketches.categories import Categories, CategoryCounts
from headrace_statistics.tails import noncentral_chi2

# Rows of a category to be expected on the smaller side, if nothing changed, before chi-square's law is used for it.
MIN_EXPECTED = 5.0
MIN_ROWS = 20


@dataclass(frozen=True, slots=True)
class CategoryChange:
    """statistic: w squared over 1/n + 1/m, chi-square by its law, or the largest difference of shares if `exact`.

    effect: w squared without what chance adds (near PSI for small changes), or that difference. p: of a change <=
    tolerance, in the units of the effect.
    """

    statistic: float
    effect: float
    p: float
    tolerance: float
    exact: bool
    n_reference: int
    n_window: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """names: categories of the reference without a row in the window, the most frequent first. share_before: of the
    first.

    p: of its share not having fallen, for all categories that could have vanished together.
    """

    names: tuple[str, ...]
    share_before: float
    p: float


def compare(
    reference: CategoryCounts, window: CategoryCounts, *, tolerance: float, share_tolerance: float
) -> CategoryChange | NotEnoughData:
    """Have the shares of categories changed?

    tolerance: of w squared, for chi-square. share_tolerance: of a share's difference, for exact. Categories that are
    too rare for chi-square are counted together, with those that the reference lacks. Which they are is decided by the
    two counts added up: given their sum, how a category's rows are divided among the two sides says nothing about how
    rare it is when nothing changed, so that the choice cannot favour a difference. A category of which the reference
    has a row or two is there by luck, as others are not: held against the window by itself, each of them has fallen.
    Pooling never makes w squared larger.
    """
    a, b = reference.with_others.astype(np.float64), window.with_others.astype(np.float64)
    n, m = int(a.sum()), int(b.sum())
    if min(n, m) < MIN_ROWS:
        return NotEnoughData(have=min(n, m), need=MIN_ROWS)
    pooled = _pool(a, b)
    if pooled is not None:
        observed = float(w_squared(*pooled))
        s = 1 / n + 1 / m
        effect = max(observed - (pooled[0].size - 1) * s, 0.0)
        p = float(p_value(*pooled, tolerance=tolerance))
        return CategoryChange(observed / s, effect, p, tolerance, False, n, m)
    return _exact(a, b, share_tolerance)


def w_squared(reference: ArrayLike, window: ArrayLike) -> Floats:
    """Return sum (p - q)^2 / ((p + q) / 2) over the last axis of counts (..., categories).

    The square of Cohen's w of shares p and q against their unweighted mean, so that it is the same whatever the two
    numbers of rows are, and whichever side is the reference. Pearson's chi-square is this over 1/n + 1/m where n = m;
    elsewhere it weights the mean share by the numbers of rows, and the same change has another size for each n : m.

    >>> [round(float(w_squared([5 * n, 5 * n], [8 * m, 2 * m])), 6) for n, m in ((1, 1), (100, 1), (1, 100))]
    [0.395604, 0.395604, 0.395604]
    """
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    p, q = a / a.sum(axis=-1, keepdims=True), b / b.sum(axis=-1, keepdims=True)
    mean = (p + q) / 2
    terms = np.divide((p - q) ** 2, mean, out=np.zeros_like(mean), where=mean > 0)
    return np.sum(terms, axis=-1)


def chi_square(reference: ArrayLike, window: ArrayLike) -> Floats:
    """Return Pearson's chi-square of homogeneity over the last axis of counts (..., categories)."""
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    share = (a + b) / (n + m)
    apart = (a / n - b / m) ** 2
    terms = np.divide(apart, share, out=np.zeros_like(apart), where=share > 0)
    return np.sum(terms, axis=-1) / (1 / n + 1 / m)[..., 0]


def p_value(reference: ArrayLike, window: ArrayLike, *, tolerance: float) -> Floats:
    """Return p of H0: w squared <= tolerance, for counts (..., categories). The larger of two:

    * with s = 1/n + 1/m, w squared/s is about noncentral chi-square with categories - 1 degrees and noncentrality
      tolerance/s. With d = (p - q) / (p + q), its variance is that law's but for factors of 1 - 3/4 d^2 +- 1/4 d^3,
      which never exceed 1, so that the level is near its own for any n : m (docs/statistics.md);
    * CLEAN_FACTOR times the p of no change at all, by Pearson's chi-square: with few rows its law is the better one.
    """
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    s = 1 / a.sum(axis=-1) + 1 / b.sum(axis=-1)
    degrees = a.shape[-1] - 1
    clean = np.minimum(clean_factor(tolerance) * scipy.special.chdtrc(degrees, chi_square(a, b)), 1.0)
    return np.maximum(noncentral_chi2(w_squared(a, b) / s, degrees, tolerance / s), clean)


def vanished(
    reference: CategoryCounts, window: CategoryCounts, categories: Categories, *, tolerance: float
) -> Vanished:
    """Which categories have no row any more? tolerance: share that may vanish without an alarm.

    Rows of new categories count as rows: a category may have been given another name.
    """
    n, m = int(reference.counts.sum()) + reference.new, int(window.counts.sum()) + window.new
    gone = np.flatnonzero((window.counts[:-1] == 0) & (reference.counts[:-1] > 0))
    if min(n, m) < 1 or gone.size == 0:
        return Vanished((), 0.0, 1.0)
    # Names are sorted by count, so that the first has lost most.
    before = Proportion(int(reference.counts[gone[0]]), n)
    change = fall(before, Proportion(0, m), tolerance=tolerance)
    p = 1.0 if isinstance(change, NotEnoughData) else min(change.p * reference.counts.size, 1.0)
    return Vanished(tuple(categories.names[index] for index in gone), before.value, p)


def _pool(a: Floats, b: Floats) -> tuple[Floats, Floats] | None:
    """Return both counts with rare categories put together, or None when fewer than two remain."""
    expected = (a + b) / (a.sum() + b.sum()) * min(a.sum(), b.sum())
    common = _surely_named(a, b) & (expected >= MIN_EXPECTED)
    if expected[~common].sum() >= MIN_EXPECTED:
        a, b = _rare_last(a, common), _rare_last(b, common)
    elif common.any():
        # What is rare goes to the rarest of the common ones, so that every row stays in the table.
        at = np.flatnonzero(common)[np.argmin(expected[common])]
        a, b = _into(a, common, at), _into(b, common, at)
    return (a, b) if a.size >= 2 and common.any() else None


def _surely_named(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Return which categories are so frequent on both sides together that they have a place of their own whatever rows
    the reference happened to have; of others, those that have one are those that it has too many rows of.
    """
    least = a[:-1].min(initial=np.inf) if a[-1] else 0.0
    frequent = (a + b) * a.sum() / (a.sum() + b.sum()) >= max(least + 3 * least**0.5, MIN_EXPECTED)
    frequent[-1] = False
    return frequent


def _rare_last(values: Floats, common: NDArray[np.bool_]) -> Floats:
    return np.append(values[common], values[~common].sum())


def _into(values: Floats, common: NDArray[np.bool_], at: np.intp) -> Floats:
    joined = values.copy()
    joined[at] += values[~common].sum()
    return joined[common]


def _exact(a: Floats, b: Floats, tolerance: float) -> CategoryChange:
    """The exact test of every share, either way, at a level divided among them (Bonferroni)."""
    n, m = int(a.sum()), int(b.sum())
    common = _surely_named(a, b)
    tests: list[tuple[float, float]] = []
    for before, now in zip(_rare_last(a, common), _rare_last(b, common), strict=True):
        for test in (rise, fall):
            change = test(Proportion(int(before), n), Proportion(int(now), m), tolerance=tolerance)
            if not isinstance(change, NotEnoughData):
                tests.append((change.p, abs(change.difference)))
    largest = max(difference for _, difference in tests)
    p = min(min(p for p, _ in tests) * len(tests), 1.0)
    return CategoryChange(largest, largest, p, tolerance, True, n, m)
