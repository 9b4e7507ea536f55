"""What an experiment says now. Shares first: where they are wrong, nothing else is believed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from headrace_statistics.experiments import sample_ratio
from headrace_statistics.experiments.comparisons import Comparison, Phase, compare, compare_quantiles
from headrace_statistics.experiments.design import Design, Kind, Metric, Role
from headrace_statistics.experiments.effects import Effect
from headrace_statistics.experiments.moments import UnitMoments
from headrace_statistics.experiments.quantiles import QuantileCurve, QuantilePhase
from headrace_statistics.multiplicity import benjamini_hochberg, holm

_Of = TypeVar("_Of", UnitMoments, QuantileCurve)


class State(StrEnum):
    """Of the experiment, worst first."""

    SHARES_WRONG = "shares_wrong"
    GUARDRAIL_HARMED = "guardrail_harmed"
    BETTER = "better"
    WORSE = "worse"
    FUTILE = "futile"
    UNDECIDED = "undecided"


class Finding(StrEnum):
    """Of one metric of one variant. SAFE: a guardrail proven to be within its margin. FUTILE: proven to be less than
    the effect that is worth finding.
    """

    BETTER = "better"
    WORSE = "worse"
    HARMED = "harmed"
    SAFE = "safe"
    FUTILE = "futile"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Counts:
    """Units that were assigned while the shares were these, by variant; and their moments by metric and variant, or of
    metrics that are quantiles their curves. strata: the same moments by stratum, where they are compared within strata.
    """

    shares: Mapping[str, float]
    units: Mapping[str, int]
    moments: Mapping[str, Mapping[str, UnitMoments]]
    curves: Mapping[str, Mapping[str, QuantileCurve]] = field(default_factory=dict)
    strata: Sequence[Mapping[str, Mapping[str, UnitMoments]]] = ()


@dataclass(frozen=True, slots=True)
class VariantResult:
    """adjusted_p: of the comparisons of success metrics, by Holm over all variants and metrics."""

    variant: str
    comparison: Comparison
    adjusted_p: float
    finding: Finding


@dataclass(frozen=True, slots=True)
class Analysis:
    """sample_ratio_p: of the declared shares, at any look."""

    state: State
    variant: str | None
    sample_ratio_p: float
    results: tuple[VariantResult, ...]


def analyse(design: Design, phases: Sequence[Counts]) -> Analysis:
    """Return what the data say, valid at every look together.

    A variant is better when a success metric is, no success metric of it is worse, and no guardrail is harmed.
    """
    ratio_p = _sample_ratio_p(design, phases)
    results = [*_success(design, phases), *_guardrails(design, phases), *_quality(design, phases)]
    state, variant = _state(design, ratio_p, results)
    return Analysis(state, variant, ratio_p, tuple(results))


def explore(design: Design, slices: Mapping[str, Sequence[Counts]]) -> dict[str, tuple[VariantResult, ...]]:
    """Return what success metrics say within each slice: for ideas, not for decisions.

    adjusted_p is Benjamini and Hochberg's over all slices, variants and metrics: of what is called better or worse an
    expected share of alpha is not. It holds at every look, as each p does.
    """
    pairs = [(variant, metric) for metric in design.with_role(Role.SUCCESS) for variant in design.variants]
    compared = {
        value: [_compare(design, phases, variant, metric, design.alpha) for variant, metric in pairs]
        for value, phases in slices.items()
    }
    adjusted = iter(benjamini_hochberg([one.p for each in compared.values() for one in each]).tolist())
    found: dict[str, tuple[VariantResult, ...]] = {}
    for value, each in compared.items():
        results = []
        for (variant, _), one in zip(pairs, each, strict=True):
            p = next(adjusted)
            results.append(VariantResult(variant, one, p, _of_success(one, p, design.alpha)))
        found[value] = tuple(results)
    return found


def _sample_ratio_p(design: Design, phases: Sequence[Counts]) -> float:
    names = [design.control, *design.variants]
    log_evidence = sum(
        float(
            sample_ratio.log_evidence(
                [phase.units.get(name, 0) for name in names], [phase.shares.get(name, 0.0) for name in names]
            )
        )
        for phase in phases
    )
    return min(1.0, math.exp(-min(log_evidence, 700.0)))


def _success(design: Design, phases: Sequence[Counts]) -> list[VariantResult]:
    pairs = [(variant, metric) for metric in design.with_role(Role.SUCCESS) for variant in design.variants]
    compared = [_compare(design, phases, variant, metric, design.alpha / len(pairs)) for variant, metric in pairs]
    adjusted = holm([one.p for one in compared])
    return [
        VariantResult(variant, one, float(p), _of_success(one, float(p), design.alpha))
        for (variant, _), one, p in zip(pairs, compared, adjusted, strict=True)
    ]


def _of_success(one: Comparison, adjusted_p: float, alpha: float) -> Finding:
    better = _gain(one)
    if better is None:
        return Finding.UNDECIDED
    _, low, high = better
    middle = better[0]
    if adjusted_p <= alpha:
        return Finding.BETTER if middle > 0 else Finding.WORSE
    return Finding.FUTILE if high < one.metric.relative_effect and low > -math.inf else Finding.UNDECIDED


def _guardrails(design: Design, phases: Sequence[Counts]) -> list[VariantResult]:
    pairs = [(variant, metric) for metric in design.with_role(Role.GUARDRAIL) for variant in design.variants]
    results = []
    for variant, metric in pairs:
        one = _compare(design, phases, variant, metric, design.guardrail_alpha / len(pairs))
        gain = _gain(one)
        finding = Finding.UNDECIDED
        if gain is not None:
            _, low, high = gain
            if high < -metric.margin:
                finding = Finding.HARMED
            elif low > -metric.margin:
                finding = Finding.SAFE
        results.append(VariantResult(variant, one, one.p, finding))
    return results


def _quality(design: Design, phases: Sequence[Counts]) -> list[VariantResult]:
    return [
        VariantResult(variant, one, one.p, Finding.UNDECIDED)
        for metric in design.with_role(Role.QUALITY)
        for variant in design.variants
        for one in [_compare(design, phases, variant, metric, design.alpha)]
    ]


def _gain(one: Comparison) -> tuple[float, float, float] | None:
    """Return the relative effect and its bounds, so that more is better; None where there is no estimate."""
    if not isinstance(one.effect, Effect):
        return None
    if one.metric.higher_is_better:
        return one.effect.relative, one.relative_low, one.relative_high
    return -one.effect.relative, -one.relative_high, -one.relative_low


def _compare(design: Design, phases: Sequence[Counts], variant: str, metric: Metric, alpha: float) -> Comparison:
    compared: list[Phase] = []
    ranked: list[QuantilePhase] = []
    for phase in phases:
        shares = phase.shares.get(variant, 0.0), phase.shares.get(design.control, 0.0)
        if sum(shares) <= 0:
            continue
        share = shares[0] / sum(shares)
        if pair := _pair(phase.curves, metric, variant, design.control):
            ranked.append(QuantilePhase(*pair, share))
        if pair := _pair(phase.moments, metric, variant, design.control):
            strata = [_pair(stratum, metric, variant, design.control) for stratum in phase.strata]
            compared.append(Phase(*pair, share, tuple(each for each in strata if each)))
    if metric.kind is Kind.QUANTILE:
        return compare_quantiles(metric, ranked, alpha=alpha, tuned_units=design.tuned_units)
    return compare(metric, compared, alpha=alpha, tuned_units=design.tuned_units, least_units=design.least_units)


def _pair(known: Mapping[str, Mapping[str, _Of]], metric: Metric, variant: str, control: str) -> tuple[_Of, _Of] | None:
    by_variant = known.get(metric.name, {})
    return (by_variant[control], by_variant[variant]) if {control, variant} <= by_variant.keys() else None


def _state(design: Design, ratio_p: float, results: Sequence[VariantResult]) -> tuple[State, str | None]:
    if ratio_p <= design.sample_ratio_alpha:
        return State.SHARES_WRONG, None
    by_variant = {name: {r.finding for r in results if r.variant == name} for name in design.variants}
    for name, findings in by_variant.items():
        if Finding.HARMED in findings:
            return State.GUARDRAIL_HARMED, name
    better = [name for name, findings in by_variant.items() if Finding.BETTER in findings - {Finding.WORSE}]
    better = [name for name in better if Finding.WORSE not in by_variant[name]]
    if better:
        return State.BETTER, max(better, key=lambda name: _largest(results, name))
    worse = [name for name, findings in by_variant.items() if Finding.WORSE in findings]
    if len(worse) == len(design.variants):
        return State.WORSE, None
    decided = {Finding.FUTILE, Finding.WORSE}
    success = {metric.name for metric in design.with_role(Role.SUCCESS)}
    if all(r.finding in decided for r in results if r.comparison.metric.name in success):
        return State.FUTILE, None
    return State.UNDECIDED, None


def _largest(results: Sequence[VariantResult], variant: str) -> float:
    gains = [_gain(r.comparison) for r in results if r.variant == variant and r.finding is Finding.BETTER]
    return max(gain[0] for gain in gains if gain is not None)
