"""One metric of one variant against the control: effect, interval, evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headrace_statistics.experiments import labels, quantiles, sequences
from headrace_statistics.experiments.design import Kind, Metric
from headrace_statistics.experiments.effects import Effect, effect, relative_to
from headrace_statistics.experiments.moments import UnitMoments, merged
from headrace_statistics.experiments.quantiles import QuantilePhase
from headrace_statistics.inconclusive import Inconclusive, NotEnoughData

# Up to this share of units with an event, their labels say nearly all; beyond it the difference of means says more.
_RARE = 0.1


@dataclass(frozen=True, slots=True)
class Phase:
    """A time of constant shares. control, variant: moments of the units that were assigned in it. share: the variant's
    declared share of the two. strata: the same moments by stratum, which are compared each within itself
    (post-stratification); empty for one stratum.
    """

    control: UnitMoments
    variant: UnitMoments
    share: float
    strata: tuple[tuple[UnitMoments, UnitMoments], ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """effect: what is estimated, or why nothing is. low, high: of the difference, at any look. p: of "no difference",
    at any look. exact: whether p holds without an approximation. detectable: smallest relative effect that now would
    be significant, infinite without data. of_one_unit: how far one more unit in the smaller variant,
    as far from the mean as the furthest so far, moves the result, as a multiple of what the interval would reach.
    Beyond 1 the interval is that of the luck of a few units, and there is none.
    """

    metric: Metric
    effect: Effect | Inconclusive
    low: float
    high: float
    p: float
    exact: bool
    detectable: float
    of_one_unit: float = 0.0

    @property
    def hangs_on_one_unit(self) -> bool:
        return self.of_one_unit > 1

    @property
    def relative_low(self) -> float:
        return self._relative[0]

    @property
    def relative_high(self) -> float:
        return self._relative[1]

    @property
    def _relative(self) -> tuple[float, float]:
        """Return the bounds of the relative effect; a rate cannot fall by more than 100 %."""
        if not isinstance(self.effect, Effect):
            return self.low, self.high
        if self.metric.kind is Kind.QUANTILE:  # its bounds are not at equal distances
            return relative_to(self.effect.control, self.low), relative_to(self.effect.control, self.high)
        errors = (self.high - self.low) / 2 / self.effect.standard_error
        return self.effect.relative_bounds(errors, rates=self.metric.kind is Kind.BINARY)


def compare(
    metric: Metric, phases: Sequence[Phase], *, alpha: float, tuned_units: float, least_units: int
) -> Comparison:
    """Return what can be said of a metric at this look, and at every other one."""
    found = effect([pair for phase in phases for pair in phase.strata or ((phase.control, phase.variant),)])
    rare = metric.kind is Kind.BINARY and _rate(phases) <= _RARE
    log_evidence = _of_labels(metric, phases) if rare else 0.0
    smaller = min(sum(phase.control.units for phase in phases), sum(phase.variant.units for phase in phases))
    if smaller < least_units and isinstance(found, Effect):
        found = NotEnoughData(have=smaller, need=least_units)
    if not isinstance(found, Effect):
        return Comparison(metric, found, -math.inf, math.inf, _p(log_evidence), rare, math.inf)
    mixture = sequences.precision(tuned_units, alpha)
    reach = float(sequences.half_width(found.standard_error, found.units, mixture, alpha))
    if (of_one_unit := _errors_of_one_unit(phases) * found.standard_error / reach) > 1:
        return Comparison(metric, found, -math.inf, math.inf, _p(log_evidence), rare, math.inf, of_one_unit)
    if not rare:
        log_evidence = float(sequences.log_evidence(found.z, found.units, mixture))
    detectable = math.inf if found.control == 0 else reach / abs(found.control)
    low, high = found.difference - reach, found.difference + reach
    return Comparison(metric, found, low, high, _p(log_evidence), rare, detectable, of_one_unit)


def compare_quantiles(
    metric: Metric, phases: Sequence[QuantilePhase], *, alpha: float, tuned_units: float
) -> Comparison:
    """Return what can be said of a quantile at this look, and at every other one; exact with any number of units."""
    found = quantiles.effect(metric.quantile, phases)
    if not isinstance(found, Effect):
        return Comparison(metric, found, -math.inf, math.inf, 1.0, True, math.inf)
    known = quantiles.interval(metric.quantile, phases, alpha=alpha, tuned_units=tuned_units)
    detectable = math.inf if found.control == 0 else (known.high - known.low) / 2 / abs(found.control)
    return Comparison(metric, found, known.low, known.high, _p(known.log_evidence), True, detectable)


def _errors_of_one_unit(phases: Sequence[Phase]) -> float:
    """Return by how many standard errors one unit moves the difference, before that is adjusted; nan where the ends are
    not known.
    """
    arms = merged(phase.control for phase in phases), merged(phase.variant for phase in phases)
    both = merged(arms)
    furthest = max(both.most - both.means[0], both.means[0] - both.least)
    variance = float(both.comoments[0, 0]) / (both.units - 1) * sum(1 / arm.units for arm in arms)
    return float(furthest) / min(arm.units for arm in arms) / math.sqrt(variance) if variance > 0 else 0.0


def _p(log_evidence: float) -> float:
    return min(1.0, math.exp(-min(log_evidence, 700.0)))


def _rate(phases: Sequence[Phase]) -> float:
    units = sum(arm.units for phase in phases for arm in (phase.control, phase.variant))
    return _events([arm for phase in phases for arm in (phase.control, phase.variant)]) / units if units else 0.0


def _of_labels(metric: Metric, phases: Sequence[Phase]) -> float:
    return sum(
        float(labels.log_evidence(_events([p.variant]), _events([p.control]), p.share, metric.relative_effect))
        for p in phases
    )


def _events(arms: Sequence[UnitMoments]) -> int:
    return round(sum(arm.units * float(arm.means[0]) for arm in arms))
