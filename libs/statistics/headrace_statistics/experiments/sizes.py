"""How many units does an experiment need? With one look at the end, and with a look at any time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import scipy

from headrace_statistics.experiments import sequences

_MOST_LOG_UNITS = math.log(1e20)


@dataclass(frozen=True, slots=True)
class UnitVariance:
    """Of a metric: the control's mean per unit, the variance between units, and the correlation of a unit's value with
    its covariate, that CUPED makes use of.
    """

    mean: float
    variance: float
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if self.mean == 0 or not math.isfinite(self.mean):
            raise ValueError(f"mean is {self.mean}: a relative effect needs a mean other than 0")
        # Beyond 1e-300 a float loses digits, and becomes 0.
        if not 1e-300 <= self.variance < math.inf:
            raise ValueError(f"variance is {self.variance}: choose a number from 1e-300 on")
        if not -1 < self.correlation < 1:
            raise ValueError(f"correlation is {self.correlation}: choose a number between -1 and 1")

    @property
    def adjusted(self) -> float:
        """The variance that remains after CUPED."""
        return self.variance * (1 - self.correlation**2)

    def size(self, relative_effect: float) -> float:
        """Return an effect in standard deviations of a unit, after CUPED.

        >>> of_rate(0.5).size(0.1)
        0.1
        """
        return abs(relative_effect * self.mean) / math.sqrt(self.adjusted)


def of_rate(rate: float, relative_effect: float = 0.0) -> UnitVariance:
    """Return the variance of a unit that has an event with this probability, the mean of both variants' variances."""
    changed = min(max(rate * (1 + relative_effect), 0.0), 1.0)
    return UnitVariance(rate, (rate * (1 - rate) + changed * (1 - changed)) / 2)


def fixed_units(metric: UnitVariance, relative_effect: float, alpha: float, power: float, share: float = 0.5) -> int:
    """Return the units of both variants together for a single look at the end. share: the variant's of the two.

    >>> fixed_units(of_rate(0.05, 0.1), 0.1, 0.05, 0.8)
    62462
    """
    needed = float(scipy.stats.norm.isf(alpha / 2) + scipy.stats.norm.ppf(power)) ** 2
    return math.ceil(needed * _spread(share) / metric.size(relative_effect) ** 2)


def sequential_units(
    metric: UnitVariance, relative_effect: float, alpha: float, power: float, share: float = 0.5
) -> int:
    """Return the units of both variants together by which the always-valid interval, tuned to `fixed_units`, excludes 0
    with the power. Half of the experiments stop sooner than a single look would be due: `make test-statistics`.
    """
    fixed = fixed_units(metric, relative_effect, alpha, power, share)
    drift = metric.size(relative_effect) / math.sqrt(_spread(share))
    return units_until_found(drift, alpha, power, tuned_units=fixed) or fixed * 64


def settled_units(
    metric: UnitVariance, furthest: float, alpha: float, *, tuned_units: float, share: float = 0.5
) -> int:
    """Return the units of both variants together from which on one more unit, as far from the mean as `furthest`, moves
    the difference by no more than its interval reaches: `Comparison.of_one_unit`.

    >>> settled_units(UnitVariance(1.0, 4.0), 2000.0, 0.05, tuned_units=20_000)
    100546
    """
    moved = furthest * math.sqrt(1 - metric.correlation**2) / min(share, 1 - share)
    error, mixture = math.sqrt(metric.adjusted * _spread(share)), sequences.precision(tuned_units, alpha)

    def beyond(log_units: float) -> float:
        units = math.exp(log_units)
        reach = float(sequences.half_width(error / math.sqrt(units), units, mixture, alpha))
        return math.log(moved / units) - math.log(reach)

    if moved == 0 or beyond(0.0) <= 0:
        return 1
    if beyond(_MOST_LOG_UNITS) > 0:
        return math.ceil(math.exp(_MOST_LOG_UNITS))
    return math.ceil(math.exp(float(scipy.optimize.brentq(beyond, 0.0, _MOST_LOG_UNITS))))  # pyright: ignore[reportArgumentType]


def units_until_found(drift: float, alpha: float, power: float, *, tuned_units: float) -> int | None:
    """Return the units by which the always-valid interval excludes 0 with the power; None for more than can be counted.

    drift: the effect in standard errors of an estimate from one unit; from n units it is sqrt(n) times as much.

    >>> units_until_found(0.02, 0.05, 0.8, tuned_units=20_000)
    38016
    """

    def lacking(log_units: float) -> float:
        return _any_look_power(math.exp(log_units), drift, alpha, tuned_units) - power

    if lacking(0.0) >= 0:
        return 1
    if not lacking(_MOST_LOG_UNITS) >= 0:
        return None
    return math.ceil(math.exp(float(scipy.optimize.brentq(lacking, 0.0, _MOST_LOG_UNITS))))  # pyright: ignore[reportArgumentType]


def power_at(
    units: float, metric: UnitVariance, relative_effect: float, alpha: float, *, tuned_units: float, share: float = 0.5
) -> float:
    """Return the chance that the always-valid interval excludes 0 at that look, on the effect's side.

    Looks before it add to the chance, so that it is a lower bound of what an experiment finds by then.
    """
    return _any_look_power(units, metric.size(relative_effect) / math.sqrt(_spread(share)), alpha, tuned_units)


def fixed_power_at(
    units: float, metric: UnitVariance, relative_effect: float, alpha: float, share: float = 0.5
) -> float:
    """Return the chance that a single look at that number of units finds the effect."""
    expected = metric.size(relative_effect) * math.sqrt(units / _spread(share))
    return float(scipy.stats.norm.sf(scipy.stats.norm.isf(alpha / 2) - expected))


def _any_look_power(units: float, drift: float, alpha: float, tuned_units: float) -> float:
    reach = float(sequences.half_width(1.0, units, sequences.precision(tuned_units, alpha), alpha))
    return float(scipy.special.ndtr(drift * math.sqrt(units) - reach))


def _spread(share: float) -> float:
    """Return the variance of the difference for units of variance 1, times the number of units of both variants."""
    if not 0 < share < 1:
        raise ValueError(f"share is {share}: choose the variant's share of the two, between 0 and 1")
    return 1 / share + 1 / (1 - share)
