"""Which slices of the traffic explain a drift or a fall? A slice is a column and one of its values: country = DE.

Slices overlap, so their parts do not add up to one; each is asked on its own how much would be left without it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats
from headrace_statistics.drift import psi
from headrace_statistics.multiplicity import benjamini_hochberg
from headrace_statistics.proportions import Proportion, ProportionChange, rise

# Slices smaller than this say nothing, and their number must not thin out the level for the others.
MIN_ROWS = 50


@dataclass(frozen=True, slots=True, order=True)
class Slice:
    column: str
    value: str

    def __str__(self) -> str:
        return f"{self.column} = {self.value}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """before, now: rate of errors, or share of rows, within the slice. explained: share of the whole change that is
    gone when the slice is left out, at most 1: none of a change that is the same everywhere. adjusted_p: of no change
    within the slice beyond the tolerance, and of nothing explained, whichever is the larger; over all slices.
    """

    slice: Slice
    before: float
    now: float
    explained: float
    adjusted_p: float
    rows: int


def explain_rise(
    before: Mapping[Slice, Proportion],
    now: Mapping[Slice, Proportion],
    *,
    whole_before: Proportion,
    whole_now: Proportion,
    tolerance: float = 0.0,
    level: float = 0.01,
    most: int = 5,
) -> tuple[Explanation, ...]:
    """Name slices whose rate of errors (or of anything that is counted) has risen, those that explain most first.

    A slice is named when its own rate has risen beyond the tolerance, exactly tested and adjusted for the number of
    slices; so a slice that merely has become larger is not blamed for errors that it always made. And it is named only
    when, with the same certainty, some of the rise is gone without it; so none is when errors have risen everywhere.
    """
    tested = [
        one
        for one in sorted(now)
        if one in before
        and min(before[one].of, now[one].of) >= MIN_ROWS
        and not _is_all(before[one].of, whole_before.of, now[one].of, whole_now.of)
    ]
    parts = [
        _part_of_rise((before[one], now[one]), (_without(whole_before, before[one]), _without(whole_now, now[one])))
        for one in tested
    ]
    ps = []
    for one, part in zip(tested, parts, strict=True):
        # The exact test takes a while, and is needed where the other one does not rule the slice out.
        change = rise(before[one], now[one], tolerance=tolerance) if part.p <= level else None
        ps.append(max(change.p, part.p) if isinstance(change, ProportionChange) else part.p)
    ps = benjamini_hochberg(ps)
    found = [
        Explanation(one, before[one].value, now[one].value, part.explained, float(p), now[one].of)
        for one, part, p in zip(tested, parts, ps, strict=True)
        if p <= level
    ]
    return tuple(sorted(found, key=lambda each: -each.explained)[:most])


def explain_drift(
    before: Mapping[Slice, ArrayLike],
    now: Mapping[Slice, ArrayLike],
    *,
    whole_before: ArrayLike,
    whole_now: ArrayLike,
    tolerance: float = 0.05,
    level: float = 0.01,
    most: int = 5,
) -> tuple[Explanation, ...]:
    """Name slices that explain the drift of a column, given its counts on the same bins, per slice and whole.

    A slice is named when, within it, the column has drifted beyond the tolerance, or its share of the rows has changed;
    and when without it at least a tenth of the drift is gone, and surely some. So none is when all have drifted alike.
    """
    all_before, all_now = np.asarray(whole_before, dtype=np.int64), np.asarray(whole_now, dtype=np.int64)
    n, m = int(all_before.sum()), int(all_now.sum())
    tested, ps, parts = [], [], []
    for one in sorted(now):
        inside = (np.asarray(before.get(one, all_before * 0), np.int64), np.asarray(now[one], np.int64))
        size = (int(inside[0].sum()), int(inside[1].sum()))
        if max(size) < MIN_ROWS or _is_all(size[0], n, size[1], m):
            continue
        tested.append((one, Proportion(size[0], n), Proportion(size[1], m)))
        parts.append(_part_of_drift(inside, (all_before - inside[0], all_now - inside[1])))
        ps.append(parts[-1].p)
        if ps[-1] <= level:
            ps[-1] = max(ps[-1], _changed(inside, Proportion(size[0], n), Proportion(size[1], m), tolerance))
    found = [
        Explanation(one, share_before.value, share_now.value, part.explained, float(p), share_now.count)
        for (one, share_before, share_now), p, part in zip(tested, benjamini_hochberg(ps), parts, strict=True)
        if p <= level and part.explained >= 0.1
    ]
    return tuple(sorted(found, key=lambda each: -each.explained)[:most])


def _is_all(before: int, whole_before: int, now: int, whole_now: int) -> bool:
    """Return whether a slice is all there is, then and now: what every row has in common explains nothing."""
    return whole_before - before < MIN_ROWS and whole_now - now < MIN_ROWS


def _changed(inside: tuple[np.ndarray, np.ndarray], before: Proportion, now: Proportion, tolerance: float) -> float:
    """Return p of: no drift within the slice and no change of its share (Bonferroni over the three)."""
    ps = [1.0]
    within = psi.compare(*inside, tolerance=tolerance)
    if isinstance(within, psi.PsiChange):
        ps.append(within.p)
    sizes = (rise(before, now), rise(before.others, now.others))
    ps.extend(change.p for change in sizes if isinstance(change, ProportionChange))
    return min(min(ps) * 3, 1.0)


@dataclass(frozen=True, slots=True)
class _Part:
    """explained: as in Explanation. p: of nothing explained, by its standard error (delta method)."""

    explained: float
    p: float


_NOTHING = _Part(0.0, 1.0)


def _part_of_rise(inside: tuple[Proportion, Proportion], rest: tuple[Proportion, Proportion]) -> _Part:
    if min(rest[0].of, rest[1].of) == 0:
        return _Part(1.0, 0.0)  # without the slice there is nothing to compare
    whole = [one.merge(other) for one, other in zip(inside, rest, strict=True)]
    total, left = whole[1].value - whole[0].value, rest[1].value - rest[0].value
    if total <= 0:
        return _NOTHING
    variance = 0.0
    for one, other in zip(inside, rest, strict=True):
        weight = other.of / (one.of + other.of)
        variance += (weight * left / total - 1) ** 2 * _variance(other)
        variance += ((1 - weight) * left / total) ** 2 * _variance(one)
    return _part(total, left, variance / total**2)


def _variance(share: Proportion) -> float:
    p = (share.count + 1) / (share.of + 2)
    return p * (1 - p) / max(share.of, 1)


def _part_of_drift(inside: tuple[np.ndarray, np.ndarray], rest: tuple[np.ndarray, np.ndarray]) -> _Part:
    whole = (inside[0] + rest[0], inside[1] + rest[1])
    total, left = _effect(*whole), _effect(*rest)
    if total <= 0:
        return _NOTHING
    slopes = zip(_slopes(*whole), _slopes(*rest), inside, rest, strict=True)
    variance = sum(
        float(np.sum((left / total * of_whole) ** 2 * one + (left / total * of_whole - of_rest) ** 2 * other))
        for of_whole, of_rest, one, other in slopes
    )
    # What chance adds to either PSI has a variance of its own, which counts where they are small.
    chance = 2 * (inside[0].size - 1) * (_noise(*rest) ** 2 + (left / total * _noise(*whole)) ** 2)
    return _part(total, left, (variance + chance) / total**2)


def _part(total: float, left: float, variance: float) -> _Part:
    explained = 1 - left / total
    certain = float(scipy.special.ndtr(-explained / math.sqrt(variance))) if variance > 0 else float(explained <= 0)
    return _Part(min(max(explained, 0.0), 1.0), certain)


def _slopes(before: np.ndarray, now: np.ndarray) -> tuple[Floats, Floats]:
    """Return by how much PSI rises with each count."""
    a, b = before + 0.5, now + 0.5
    p, q = a / a.sum(), b / b.sum()
    of_p, of_q = np.log(p / q) + 1 - q / p, np.log(q / p) + 1 - p / q
    return (of_p - np.dot(p, of_p)) / a.sum(), (of_q - np.dot(q, of_q)) / b.sum()


def _noise(before: np.ndarray, now: np.ndarray) -> float:
    return 1 / max(int(before.sum()), 1) + 1 / max(int(now.sum()), 1)


def _effect(before: np.ndarray, now: np.ndarray) -> float:
    change = psi.compare(before, now, tolerance=0.0)
    return change.effect if isinstance(change, psi.PsiChange) else 0.0


def _without(whole: Proportion, part: Proportion) -> Proportion:
    return Proportion(max(whole.count - part.count, 0), max(whole.of - part.of, 0))
