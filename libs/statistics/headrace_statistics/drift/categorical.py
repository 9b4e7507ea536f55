"""Have the shares of categories changed by more than is tolerated? By chi-square, or exactly where rows are few."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats
from headrace_statistics.drift.psi import clean_factor
from headrace_statistics.inconclusive import NotEnoughData
from headrace_statistics.proportions import Proportion, fall, rise
from headrace_statistics.sketches.categories import Categories, CategoryCounts
from headrace_statistics.tails import noncentral_chi2

# Rows that the reference must lead one to expect of a category on either side before chi-square's law is used for it.
MIN_EXPECTED = 5.0
MIN_ROWS = 20


@dataclass(frozen=True, slots=True)
class CategoryChange:
    """statistic: chi-square, or the largest difference of shares where `exact`.

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
    """Have the shares of the reference's categories changed? New ones are tested apart, by `rise`.

    tolerance: of w squared = sum (p - q)^2 / mean share, for chi-square. share_tolerance: of a share's difference, for
    exact. Categories that are too rare for chi-square are counted together; which, is decided by the reference and the
    numbers of rows alone, so that looking at the window's counts does not choose the test.
    """
    a, b = np.asarray(reference.counts, dtype=np.float64), np.asarray(window.counts, dtype=np.float64)
    n, m = int(a.sum()), int(b.sum())
    if min(n, m) < MIN_ROWS:
        return NotEnoughData(have=min(n, m), need=MIN_ROWS)
    pooled = _pool(a, b, min(n, m))
    if pooled is not None:
        statistic = float(chi_square(*pooled))
        degrees = pooled[0].size - 1
        s = 1 / n + 1 / m
        p = float(p_value(*pooled, tolerance=tolerance))
        return CategoryChange(statistic, max(statistic - degrees, 0.0) * s, p, tolerance, False, n, m)
    return _exact(a, b, share_tolerance)


def chi_square(reference: ArrayLike, window: ArrayLike) -> Floats:
    """Return Pearson's chi-square of homogeneity over the last axis of counts (..., categories)."""
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    share = (a + b) / (n + m)
    apart = (a / n - b / m) ** 2
    terms = np.divide(apart, share, out=np.zeros_like(apart), where=share > 0)
    return np.sum(terms, axis=-1) / (1 / n + 1 / m)[..., 0]


def p_value(reference: ArrayLike, window: ArrayLike, *, tolerance: float) -> Floats:
    """Return p of H0: w squared <= tolerance, and no less than CLEAN_FACTOR times the p of no change at all."""
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(window, dtype=np.float64)
    s = 1 / a.sum(axis=-1) + 1 / b.sum(axis=-1)
    degrees = a.shape[-1] - 1
    statistic = chi_square(a, b)
    clean = np.minimum(clean_factor(tolerance) * scipy.special.chdtrc(degrees, statistic), 1.0)
    return np.maximum(noncentral_chi2(statistic, degrees, tolerance / s), clean)


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


def _pool(a: Floats, b: Floats, rows: int) -> tuple[Floats, Floats] | None:
    """Return both counts with rare categories put together, or None when fewer than two remain."""
    common = a / a.sum() * rows >= MIN_EXPECTED
    rare_expected = a[~common].sum() / a.sum() * rows
    if rare_expected >= MIN_EXPECTED:
        a, b = np.append(a[common], a[~common].sum()), np.append(b[common], b[~common].sum())
    elif common.any():
        # What is rare goes to the rarest of the common ones, so that every row stays in the table.
        at = np.flatnonzero(common)[np.argmin(a[common])]
        a, b = _into(a, common, at), _into(b, common, at)
    return (a, b) if a.size >= 2 and common.any() else None


def _into(values: Floats, common: np.ndarray, at: np.intp) -> Floats:
    joined = values.copy()
    joined[at] += values[~common].sum()
    return joined[common]


def _exact(a: Floats, b: Floats, tolerance: float) -> CategoryChange:
    """The exact test of every share, either way, at a level divided among them (Bonferroni)."""
    n, m = int(a.sum()), int(b.sum())
    tests = []
    for before, now in zip(a, b, strict=True):
        for test in (rise, fall):
            change = test(Proportion(int(before), n), Proportion(int(now), m), tolerance=tolerance)
            if not isinstance(change, NotEnoughData):
                tests.append((change.p, abs(change.difference)))
    largest = max(difference for _, difference in tests)
    p = min(min(p for p, _ in tests) * len(tests), 1.0)
    return CategoryChange(largest, largest, p, tolerance, True, n, m)
