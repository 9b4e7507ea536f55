"""How much does a variant change a metric, per unit? Means and ratios, adjusted for what was known before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from headrace_statistics.arrays import Floats
from headrace_statistics.experiments.moments import UnitMoments
from headrace_statistics.inconclusive import Constant, NotEnoughData, NotFinite

_LEAST_UNITS = 2


@dataclass(frozen=True, slots=True)
class Effect:
    """control, variant: means (or ratios of sums) per unit, adjusted. difference: variant - control, with its standard
    error. relative: difference / |control|. units: of both. reduction: the share of the variance that the covariate has
    taken away. control_error: standard error of the control's value alone.
    """

    control: float
    variant: float
    difference: float
    standard_error: float
    relative: float
    units: int
    reduction: float
    control_error: float = 0.0

    @property
    def z(self) -> float:
        return self.difference / self.standard_error

    def relative_bounds(self, errors: float, *, rates: bool = False) -> tuple[float, float]:
        """Return the relative effects r for which variant - (1 + r) control is at most so many of its standard errors
        away from 0 (Fieller, JRSS B 16, 1954): the control's value is not known either.

        Without a bound where the control's value may be 0, or of either sign. rates: none is below 0.
        """
        if self.control == 0:
            reach = errors * self.standard_error
            return relative_to(0.0, self.difference - reach), relative_to(0.0, self.difference + reach)
        squared, control_variance = errors**2, self.control_error**2
        variant_variance = max(self.standard_error**2 - control_variance, 0.0)
        middle, product = self.variant * self.control, self.variant**2 - squared * variant_variance
        most = self.control**2 - squared * control_variance
        if most > 0:
            root = math.sqrt(max(middle**2 - most * product, 0.0))
            sign = math.copysign(1.0, self.control)
            low, high = sorted(sign * ((middle + side * root) / most - 1) for side in (-1, 1))
        elif rates and most < 0 < product:
            low, high = (middle - math.sqrt(middle**2 - most * product)) / most - 1, math.inf
        else:
            low, high = -math.inf, math.inf
        return (max(low, -1.0), max(high, -1.0)) if rates else (low, high)


def effect(phases: Sequence[tuple[UnitMoments, UnitMoments]]) -> Effect | NotEnoughData | Constant | NotFinite:
    """Return the effect from the (control, variant) moments of each phase, that is a time of constant shares.

    Phases are strata: each is compared within itself and weighted by its units, so that a ramp during a good week does
    not make the variant look better (post-stratification). Any other strata may be given as well.
    """
    used = [(c, v) for c, v in phases if min(c.units, v.units) >= _LEAST_UNITS]
    if not used:
        have = max((min(c.units, v.units) for c, v in phases), default=0)
        return NotEnoughData(have=have, need=_LEAST_UNITS)
    units = sum(c.units + v.units for c, v in used)
    values, own, pooled, plain = np.zeros((4, 2))
    for control, variant in used:
        weight = (control.units + variant.units) / units
        value, *each = _adjusted(control, variant)
        values += weight * value
        for total, more in zip((own, pooled, plain), each, strict=True):
            total += weight**2 * more
    if not (np.isfinite(values).all() and np.isfinite(own + pooled).all()):
        return NotFinite(count=units, of=units)
    if own.sum() <= 0:
        return Constant(float(values[0]))
    # A small arm that lacks the few large values has a small mean and a small variance at once: the other arm knows
    # better. At equal shares both sums are the same.
    variances = max(own, pooled, key=np.sum)
    (control_value, variant_value), (control_variance, variant_variance) = values.tolist(), variances.tolist()
    difference = variant_value - control_value
    return Effect(
        control_value,
        variant_value,
        difference,
        math.sqrt(control_variance + variant_variance),
        relative_to(control_value, difference),
        units,
        reduction=1 - float(own.sum() / plain.sum()),
        control_error=math.sqrt(control_variance),
    )


def relative_to(control: float, difference: float) -> float:
    """Return a difference as a share of the size of the control's value; infinite where that is 0.

    >>> relative_to(-10.0, 5.0), relative_to(0.0, -1.0), relative_to(0.0, 0.0)
    (0.5, -inf, 0.0)
    """
    if control == 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / abs(control)


def _adjusted(control: UnitMoments, variant: UnitMoments) -> tuple[Floats, Floats, Floats, Floats]:
    """Return both arms' values, their variances by their own units and by those of both, and their own without the
    covariate (CUPED: Deng, Xu, Kohavi, Walker, WSDM 2013; ratios by the delta method: Deng, Knoblich, Lu, KDD 2018).
    """
    arms = control, variant
    units = np.array([arm.units for arm in arms], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values = np.array([arm.means[0] / arm.means[1] for arm in arms])
        # A unit's part in its arm's ratio: (y - ratio · x) / mean x, which is y - mean y where x is 1.
        weights = np.array([[1 / arm.means[1], -value / arm.means[1]] for arm, value in zip(arms, values, strict=True)])
        own = np.array([w @ arm.comoments[:2, :2] @ w for arm, w in zip(arms, weights, strict=True)])
        cross = np.array([w @ arm.comoments[:2, 2] for arm, w in zip(arms, weights, strict=True)])
        spread = np.array([arm.comoments[2, 2] for arm in arms])
        theta = cross.sum() / spread.sum() if spread.sum() > 0 else 0.0
        before = np.array([arm.means[2] for arm in arms])
        values = values - theta * (before - (units * before).sum() / units.sum())
        freedom = units * (units - 1)
        adjusted = np.maximum(own - 2 * theta * cross + theta**2 * spread, 0.0)
    pooled = adjusted.sum() / (units - 1).sum() / units
    return values, adjusted / freedom, pooled, own / freedom


def fixed_horizon_p_value(one: Effect) -> float:
    """Return the two-sided p-value of "no difference" without earlier looks (fixed horizon), for comparison with the
    sequential one.

    Variance is that of units, so repeats of one unit do not count as many.
    """
    return float(2 * scipy.stats.norm.sf(abs(one.z)))
