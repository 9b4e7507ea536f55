"""Is a quantile of one variant that of another? Exact at every look and at any number of units, whatever the law.

Of the values of units, those up to the true quantile come with its probability, so their number bets on any other
(Howard, Ramdas, Bernoulli 28(3), 2022, arXiv 1906.09712; the bet is that of `labels`). The evidence against a
difference is the least that both variants' bets have together over all pairs of quantiles that differ by it. Where
values are equal, the number lies between those below and those up to it, and the least evidence in between counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headrace_statistics.arrays import Floats, floats
from headrace_statistics.experiments import labels, sequences
from headrace_statistics.experiments.effects import Effect, relative_to
from headrace_statistics.inconclusive import Constant, NotEnoughData, NotFinite

# Neighbouring levels are this much further from the quantile: intervals are rounded outwards to the next one.
_STEP = 1.15
_CLOSEST = 1e-4
_LEAST_UNITS = 2
_HALVINGS = 60


@dataclass(frozen=True, slots=True, eq=False)
class QuantileCurve:
    """Of one metric in one variant: its units, and their least value of each rank in `levels`."""

    units: int
    values: Floats


@dataclass(frozen=True, slots=True)
class QuantilePhase:
    """A time of constant shares. share: the variant's declared share of the two."""

    control: QuantileCurve
    variant: QuantileCurve
    share: float


@dataclass(frozen=True, slots=True)
class QuantileInterval:
    """low, high: of the difference, at any look. log_evidence: against "no difference", at any look."""

    low: float
    high: float
    log_evidence: float


def levels(quantile: float) -> Floats:
    """Return the ranks, as shares of the units, at which a curve is kept: 0, 1, and closer ones around the quantile.

    >>> len(levels(0.5)), levels(0.5)[[0, -1]].tolist()
    (135, [0.0, 1.0])
    """
    if not 0 < quantile < 1:
        raise ValueError(f"quantile is {quantile}: choose a share between 0 and 1, such as .95")
    nearest = _CLOSEST * min(quantile, 1 - quantile)
    steps = nearest * _STEP ** np.arange(math.ceil(math.log(max(quantile, 1 - quantile) / nearest, _STEP)))
    around = np.concatenate([quantile - steps[::-1], [quantile], quantile + steps])
    # Written into SQL: few digits, the same everywhere.
    inside = np.unique(np.round(around[(around > 0) & (around < 1)], 9))
    return floats(np.concatenate([[0.0], inside, [1.0]]))


def curve(values: Sequence[float] | Floats, quantile: float) -> QuantileCurve:
    """Return the curve of one value for each unit."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not ordered.size:
        return QuantileCurve(0, floats(np.empty(0)))
    ranks = np.maximum(np.ceil(levels(quantile) * ordered.size), 1).astype(int) - 1
    return QuantileCurve(ordered.size, floats(ordered[ranks]))


def effect(quantile: float, phases: Sequence[QuantilePhase]) -> Effect | NotEnoughData | Constant | NotFinite:
    """Return the difference of the quantiles, each phase within itself and weighted by its units."""
    used = _used(phases)
    if not used:
        have = max((min(p.control.units, p.variant.units) for p in phases), default=0)
        return NotEnoughData(have=have, need=_LEAST_UNITS)
    units = sum(p.control.units + p.variant.units for p in used)
    values, variances = np.zeros(2), np.zeros(2)
    for phase in used:
        weight = (phase.control.units + phase.variant.units) / units
        found = [_estimate(each, quantile) for each in (phase.control, phase.variant)]
        values += weight * np.array([value for value, _ in found])
        variances += weight**2 * np.array([error**2 for _, error in found])
    if not (np.isfinite(values).all() and np.isfinite(variances).all()):
        return NotFinite(count=units, of=units)
    control, variant = values.tolist()
    if control == variant and all(p.control.values[0] == p.variant.values[-1] for p in used):
        return Constant(control)
    difference, error = variant - control, math.sqrt(float(variances.sum()))
    return Effect(control, variant, difference, error, relative_to(control, difference), units, reduction=0.0)


def interval(quantile: float, phases: Sequence[QuantilePhase], *, alpha: float, tuned_units: float) -> QuantileInterval:
    """Return what holds at every look. Of several phases the interval takes the difference to be the same in all."""
    pairs = [_pairs(quantile, phase, alpha, tuned_units) for phase in _used(phases)]
    if not pairs:
        return QuantileInterval(-math.inf, math.inf, 0.0)
    middles = [each.middle for each in pairs]

    def beyond(difference: float) -> bool:
        return sum(each.evidence(difference) for each in pairs) >= -math.log(alpha)

    high = _edge(max(middles), max(each.last for each in pairs), math.inf, beyond)
    low = _edge(min(middles), min(each.first for each in pairs), -math.inf, beyond)
    return QuantileInterval(low, high, sum(each.evidence(0.0) for each in pairs))


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Every pair of a cell of the control's values and one of the variant's: the differences that lie in it, and the
    least evidence against them. middle: of the estimates. first, last: of the finite ends.
    """

    low: Floats
    high: Floats
    least: Floats
    middle: float
    first: float
    last: float

    def evidence(self, difference: float) -> float:
        return float(self.least[(self.low <= difference) & (difference <= self.high)].min())


def _pairs(quantile: float, phase: QuantilePhase, alpha: float, tuned_units: float) -> _Pairs:
    control_low, control_high, control = _cells(quantile, phase.control, alpha, tuned_units * (1 - phase.share))
    variant_low, variant_high, variant = _cells(quantile, phase.variant, alpha, tuned_units * phase.share)
    with np.errstate(invalid="ignore"):  # a value beyond all bounds may differ by anything from another one
        low = np.nan_to_num(
            np.subtract.outer(variant_low, control_high).ravel(), nan=-math.inf, posinf=math.inf, neginf=-math.inf
        )
        high = np.nan_to_num(
            np.subtract.outer(variant_high, control_low).ravel(), nan=math.inf, posinf=math.inf, neginf=-math.inf
        )
    middle = _estimate(phase.variant, quantile)[0] - _estimate(phase.control, quantile)[0]
    finite = np.concatenate([low[np.isfinite(low)], high[np.isfinite(high)], [middle]])
    return _Pairs(low, high, np.add.outer(variant, control).ravel(), middle, float(finite.min()), float(finite.max()))


def _cells(quantile: float, one: QuantileCurve, alpha: float, tuned_units: float) -> tuple[Floats, Floats, Floats]:
    """Return the cells between neighbouring values, with the least evidence against the quantile in each."""
    low = np.concatenate([[-math.inf], one.values])
    high = np.concatenate([one.values, [math.inf]])
    ranks = one.units * levels(quantile)
    # One unit on either side: a rank is a whole number.
    fewest = np.maximum(np.concatenate([[0.0], ranks]) - 1, 0)
    most = np.minimum(np.concatenate([ranks, [one.units]]) + 1, one.units)
    fewest[-1], most[0] = one.units, 0  # beyond all values, and below them
    closest = np.clip(one.units * quantile, fewest, most)
    size = math.sqrt(sequences.precision(tuned_units, alpha) / (quantile * (1 - quantile)))
    return floats(low), floats(high), floats(labels.log_evidence(closest, one.units - closest, quantile, size))


def _estimate(one: QuantileCurve, quantile: float) -> tuple[float, float]:
    """Return the quantile and its standard error, half of what lies between its ranks (Woodruff, JASA 47, 1952)."""
    at = levels(quantile)
    error = math.sqrt(quantile * (1 - quantile) / one.units)
    ends = np.interp([quantile - error, quantile + error], at, one.values)
    return float(one.values[np.searchsorted(at, quantile - 1e-9)]), float(ends[1] - ends[0]) / 2


def _edge(start: float, last: float, infinite: float, beyond: Callable[[float], bool]) -> float:
    """Return the first difference from `start` on that is excluded, rounded outwards. last: the last finite end."""
    if beyond(start):
        return start
    if not beyond(infinite):
        return infinite
    if not beyond(last):
        return last
    inside, outside = start, last
    for _ in range(_HALVINGS):
        half = inside + (outside - inside) / 2
        inside, outside = (inside, half) if beyond(half) else (half, outside)
    return outside


def _used(phases: Sequence[QuantilePhase]) -> list[QuantilePhase]:
    return [p for p in phases if min(p.control.units, p.variant.units) >= _LEAST_UNITS and 0 < p.share < 1]
