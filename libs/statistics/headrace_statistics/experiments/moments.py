"""What is kept of a metric's units: their number, means and co-moments."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats, floats


@dataclass(frozen=True, slots=True, eq=False)
class UnitMoments:
    """Of one metric in one variant, over its units.

    A unit has three numbers: its value y, its denominator x (1 but for ratios), and its covariate c from before the
    experiment (0 where there is none). means: of y, x, c; shape (3,). comoments: sums of products of the distances
    from the means; shape (3, 3). Centred sums keep their digits where values are huge and differ little. least,
    most: of y, where they are known.
    """

    units: int
    means: Floats
    comoments: Floats
    least: float = math.nan
    most: float = math.nan


def of_units(y: ArrayLike, x: ArrayLike | None = None, c: ArrayLike | None = None) -> UnitMoments:
    """Summarise one entry for each unit; all of one length.

    >>> of_units([1, 2, 3]).means[0], of_units([1, 2, 3]).comoments[0, 0]
    (np.float64(2.0), np.float64(2.0))
    """
    values = np.asarray(y, dtype=np.float64)
    ones = np.ones_like(values) if x is None else np.asarray(x, dtype=np.float64)
    before = np.zeros_like(values) if c is None else np.asarray(c, dtype=np.float64)
    columns = np.stack([values, ones, before])
    if not values.size:
        return UnitMoments(0, floats(np.zeros(3)), floats(np.zeros((3, 3))))
    # What is not finite makes moments that are not: `effect` says so.
    with np.errstate(invalid="ignore", over="ignore"):
        means = columns.mean(axis=1)
        away = columns - means[:, None]
        comoments = floats(away @ away.T)
        return UnitMoments(values.size, floats(means), comoments, float(values.min()), float(values.max()))


def merged(parts: Iterable[UnitMoments]) -> UnitMoments:
    """Return the moments of all units together (Chan, Golub, LeVeque, The American Statistician 37, 1983).

    >>> merged([of_units([1, 2]), of_units([6])]).means[0], merged([of_units([1, 2]), of_units([6])]).comoments[0, 0]
    (np.float64(3.0), np.float64(14.0))
    """
    units, means, comoments = 0, np.zeros(3), np.zeros((3, 3))
    least, most = math.nan, math.nan
    for part in parts:
        if not part.units:
            continue
        total = units + part.units
        with np.errstate(invalid="ignore", over="ignore"):
            away = part.means - means
            means = means + away * (part.units / total)
            comoments = comoments + part.comoments + np.outer(away, away) * (units * part.units / total)
        units = total
        least, most = float(np.fmin(least, part.least)), float(np.fmax(most, part.most))
    return UnitMoments(units, floats(means), floats(comoments), least, most)
