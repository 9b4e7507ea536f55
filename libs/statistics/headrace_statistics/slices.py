"""Which slices of the traffic explain a drift or a fall? A slice is a column and one of its values: country = DE.

Slices overlap, so their parts do not add up to one; each is asked on its own how much would be left without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

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
    gone when the slice is left out, at most 1. adjusted_p: of no change within the slice beyond the tolerance, over all
    slices.
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
    slices; so a slice that merely has become larger is not blamed for errors that it always made.
    """
    tested = [
        one
        for one in sorted(now)
        if one in before
        and min(before[one].of, now[one].of) >= MIN_ROWS
        and not _is_all(before[one].of, whole_before.of, now[one].of, whole_now.of)
    ]
    changes = [rise(before[one], now[one], tolerance=tolerance) for one in tested]
    ps = benjamini_hochberg([change.p if isinstance(change, ProportionChange) else np.nan for change in changes])
    total = whole_now.value - whole_before.value
    found = []
    for one, p in zip(tested, ps, strict=True):
        if p <= level:
            rest = _without(whole_now, now[one]).value - _without(whole_before, before[one]).value
            explained = 1.0 if np.isnan(rest) else _part_gone(total, rest)
            found.append(Explanation(one, before[one].value, now[one].value, explained, float(p), now[one].of))
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
    and when without it at least a tenth of the drift is gone.
    """
    all_before, all_now = np.asarray(whole_before, dtype=np.int64), np.asarray(whole_now, dtype=np.int64)
    n, m = int(all_before.sum()), int(all_now.sum())
    total = _effect(all_before, all_now)
    tested, ps, parts = [], [], []
    for one in sorted(now):
        inside = (np.asarray(before.get(one, all_before * 0), np.int64), np.asarray(now[one], np.int64))
        size = (int(inside[0].sum()), int(inside[1].sum()))
        if max(size) < MIN_ROWS or _is_all(size[0], n, size[1], m):
            continue
        tested.append((one, Proportion(size[0], n), Proportion(size[1], m)))
        ps.append(_changed(inside, Proportion(size[0], n), Proportion(size[1], m), tolerance))
        parts.append(_part_gone(total, _effect(all_before - inside[0], all_now - inside[1])))
    found = [
        Explanation(one, share_before.value, share_now.value, part, float(p), share_now.count)
        for (one, share_before, share_now), p, part in zip(tested, benjamini_hochberg(ps), parts, strict=True)
        if p <= level and part >= 0.1
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


def _effect(before: np.ndarray, now: np.ndarray) -> float:
    change = psi.compare(before, now, tolerance=0.0)
    return change.effect if isinstance(change, psi.PsiChange) else 0.0


def _without(whole: Proportion, part: Proportion) -> Proportion:
    return Proportion(max(whole.count - part.count, 0), max(whole.of - part.of, 0))


def _part_gone(total: float, rest: float) -> float:
    return min(max(1 - rest / total, 0.0), 1.0) if total > 0 else 0.0
