"""What the rows of the query say, with sentences for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
from headrace_statistics.arrays import floats
from headrace_statistics.experiments import fixed_horizon
from headrace_statistics.experiments.analysis import Analysis, Counts, Finding, State, VariantResult, analyse, explore
from headrace_statistics.experiments.effects import Effect
from headrace_statistics.experiments.moments import UnitMoments

from headrace_monitor.experiments.decisions.definitions import Experiment


class MomentRow(NamedTuple):
    """A row of `selection.moments_sql`. numbers: three means and six co-moments; None for the units themselves."""

    slice_value: str
    metric: int | None
    phase: int
    variant: str
    units: int
    crossed: int
    numbers: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Slice:
    """What an experiment says of the units with one value of an attribute. value: empty for those without it."""

    value: str
    units: int
    results: tuple[VariantResult, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an experiment says at a time."""

    analysis: Analysis
    summary: str
    assigned: dict[str, int]
    expected: dict[str, float]
    crossed: int
    time: datetime
    slices: tuple[Slice, ...] = ()


def verdict(experiment: Experiment, rows: Sequence[MomentRow], now: datetime) -> Verdict:
    """Return what the rows say."""
    analysis = analyse(experiment.definition.design, _phases(experiment, rows))
    counted = [row for row in rows if row.metric is None]
    assigned = dict.fromkeys(experiment.definition.weights, 0)
    expected = dict.fromkeys(experiment.definition.weights, 0.0)
    for row in counted:
        assigned[row.variant] += row.units
    for index, phase in enumerate(experiment.phases):
        units = sum(row.units for row in counted if row.phase == index)
        for name, weight in phase.weights.items():
            expected[name] += units * weight / sum(phase.weights.values())
    return Verdict(
        analysis, _summary(experiment, analysis), assigned, expected, sum(row.crossed for row in counted), now
    )


def slices(experiment: Experiment, rows: Sequence[MomentRow]) -> list[Slice]:
    """Return what the rows say of each slice, the largest first."""
    units = Counter[str]()
    for row in rows:
        if row.metric is None:
            units[row.slice_value] += row.units
    ordered = sorted(units, key=lambda value: (-units[value], value))
    counts = {value: _phases(experiment, [row for row in rows if row.slice_value == value]) for value in ordered}
    found = explore(experiment.definition.design, counts)
    return [Slice(value, units[value], found[value]) for value in ordered]


def single_look_p(result: VariantResult) -> float | None:
    """Return the p-value if nobody looked before."""
    found = result.comparison.effect
    return fixed_horizon.p_value(found) if isinstance(found, Effect) else None


def sentence(result: VariantResult) -> str:
    """Return one metric of one variant in words that claim no probability of being right."""
    one, found = result.comparison, result.comparison.effect
    name = f"{one.metric.name} of {result.variant}"
    if not isinstance(found, Effect):
        return f"{name}: nothing to say yet ({found})"
    if found.control:
        change = f"{found.relative:+.1%}"
        between = f"between {one.relative_low:+.1%} and {one.relative_high:+.1%} is compatible with the data"
        significant = f"{one.detectable:.1%}"
    else:  # there are no shares of 0
        change = f"{found.difference:+.4g}"
        between = f"between {one.low:+.4g} and {one.high:+.4g} is compatible with the data"
        significant = f"{(one.high - one.low) / 2:.4g}"
    ends = {
        Finding.BETTER: "better than the control",
        Finding.WORSE: "worse than the control",
        Finding.HARMED: f"worse by more than the margin of {one.metric.margin:.1%}",
        Finding.SAFE: f"not worse by more than the margin of {one.metric.margin:.1%}",
        Finding.FUTILE: f"less than the {one.metric.relative_effect:.1%} that is worth finding",
        Finding.UNDECIDED: f"undecided; an effect of {significant} would be significant now",
    }
    return f"{name}: {change} ({between}): {ends[result.finding]}"


def _summary(experiment: Experiment, analysis: Analysis) -> str:
    sentences = {
        State.SHARES_WRONG: "units are not assigned in the declared shares: find what loses them before you believe "
        "anything here",
        State.GUARDRAIL_HARMED: f"{analysis.variant} makes a guardrail worse by more than its margin: stop it",
        State.BETTER: f"{analysis.variant} is better, and harms no guardrail so far",
        State.WORSE: "every variant is worse than the control",
        State.FUTILE: "no variant has an effect that is worth finding",
        State.UNDECIDED: "undecided: the data are compatible with no difference",
    }
    return sentences[analysis.state]


def _phases(experiment: Experiment, rows: Iterable[MomentRow]) -> list[Counts]:
    names = [metric.name for metric in experiment.definition.metrics]
    counts: list[tuple[dict[str, int], dict[str, dict[str, UnitMoments]]]] = [
        ({}, {name: {} for name in names}) for _ in experiment.phases
    ]
    for row in rows:
        units, moments = counts[row.phase]
        if row.metric is None:
            units[row.variant] = row.units
        elif row.numbers is not None:
            moments[names[row.metric]][row.variant] = _moments(row.units, row.numbers)
    return [
        Counts(phase.weights, units, moments) for phase, (units, moments) in zip(experiment.phases, counts, strict=True)
    ]


def _moments(units: int, numbers: Sequence[float]) -> UnitMoments:
    yy, yx, yc, xx, xc, cc = numbers[3:]
    comoments = np.array([[yy, yx, yc], [yx, xx, xc], [yc, xc, cc]])
    return UnitMoments(units, floats(numbers[:3]), floats(comoments))
