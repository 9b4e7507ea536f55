"""What the rows of the query say, with sentences for people. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from headrace_statistics.experiments.analysis import Analysis, Finding, State, VariantResult, analyse, explore
from headrace_statistics.experiments.design import Role
from headrace_statistics.experiments.effects import Effect, fixed_horizon_p_value
from headrace_statistics.experiments.sizes import units_until_found

from headrace_monitor.judge.experiments.decisions.definitions import Experiment
from headrace_monitor.judge.experiments.decisions.definitions import State as Phase
from headrace_monitor.judge.experiments.decisions.moments import Steps
from headrace_monitor.judge.experiments.decisions.tally import MomentRow, Tally

_LEAST = timedelta(seconds=1)
# Rare events are counted exactly, and several metrics share their alpha: evidence may say more than an interval.
_BY_P = ", by its p-value of {:.2g}: that there is a difference is surer than how large it is"


@dataclass(frozen=True, slots=True)
class Slice:
    """What an experiment says of the units with one value of an attribute. value: empty for those without it."""

    value: str
    units: int
    results: tuple[VariantResult, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an experiment says at a time. days_to_go: by variant and metric, where one can say it. caps: by metric,
    those that were found.
    """

    analysis: Analysis
    summary: str
    assigned: dict[str, int]
    expected: dict[str, float]
    crossed: int
    time: datetime
    days_to_go: Mapping[tuple[str, str], float] = field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    caps: Mapping[str, float] = field(default_factory=dict)


def verdict(experiment: Experiment, rows: Sequence[MomentRow], now: datetime) -> Verdict:
    """Return what the rows say."""
    return _verdict(experiment, Tally(experiment, rows), now)


def history(experiment: Experiment, rows: Sequence[MomentRow], steps: Steps, now: datetime) -> list[Verdict]:
    """Return what the units up to the end of each step say, the last of which is all of them."""
    tally, verdicts = Tally(experiment), []
    until = experiment.end_time or now
    for at, end in enumerate(steps.ends):
        tally.add(row for row in rows if row.step == at)
        time = until if at == steps.count - 1 else end
        verdicts.append(_verdict(experiment, tally, time))
    return verdicts


def slices(experiment: Experiment, rows: Sequence[MomentRow], all_units: int) -> list[Slice]:
    """Return what the rows say of each slice, the largest first. all_units: also of values that are not frequent."""
    units = Counter[str]()
    for row in rows:
        if row.metric is None:
            units[row.slice_value or ""] += row.units
    ordered = sorted(units, key=lambda value: (-units[value], value))
    counts = {
        value: Tally(experiment, [row for row in rows if row.slice_value == value], all_units=all_units).counts()
        for value in ordered
    }
    found = explore(experiment.definition.design, counts)
    return [Slice(value, units[value], found[value]) for value in ordered]


def single_look_p(result: VariantResult) -> float | None:
    """Return the fixed-horizon p-value, valid for a single analysis."""
    found = result.comparison.effect
    return fixed_horizon_p_value(found) if isinstance(found, Effect) and found.standard_error > 0 else None


def sentence(result: VariantResult, days: float | None = None, cap: float | None = None) -> str:
    """Return one metric of one variant in words that claim no probability of being right."""
    one, found = result.comparison, result.comparison.effect
    name = f"{one.metric.name} of {result.variant}"
    if not isinstance(found, Effect):
        return f"{name}: nothing to say yet ({found})"
    if found.control and math.isfinite(one.relative_low) and math.isfinite(one.relative_high):
        change = f"{found.relative:+.1%}"
        between = f"between {one.relative_low:+.1%} and {one.relative_high:+.1%} is compatible with the data"
        significant = f"{one.detectable:.1%}"
    else:  # there are no shares of what may be 0
        change = f"{found.difference:+.4g}"
        between = f"between {one.low:+.4g} and {one.high:+.4g} is compatible with the data"
        significant = f"{(one.high - one.low) / 2:.4g}"
    if not (math.isfinite(one.low) and math.isfinite(one.high)) and result.finding is Finding.UNDECIDED:
        return f"{name}: {change} (any value is compatible with the data): undecided{_few(result)}"
    certain = "" if one.low > 0 or one.high < 0 else _BY_P.format(result.adjusted_p)
    ends = {
        Finding.BETTER: f"better than the control{certain}",
        Finding.WORSE: f"worse than the control{certain}",
        Finding.HARMED: f"worse by more than the margin of {one.metric.margin:.1%}",
        Finding.SAFE: f"not worse by more than the margin of {one.metric.margin:.1%}",
        Finding.FUTILE: f"{_direction(result)}not better by the {one.metric.relative_effect:.1%} that is worth finding",
        Finding.UNDECIDED: f"undecided; an effect of {significant} would be significant now",
    }
    after = "" if days is None else f", and one of {one.metric.relative_effect:.1%} takes about {_days(days)} more"
    capped = "" if cap is None else f"; a unit counts up to {cap:.4g}"
    return f"{name}: {change} ({between}): {ends[result.finding]}{after}{capped}"


def _few(result: VariantResult) -> str:
    one = result.comparison
    if not one.hangs_on_one_unit:
        return ""
    return (
        f", since one more unit as far off as the furthest so far would move it {one.of_one_unit:.1f} times as far as "
        "its interval reaches: wait for more units, or cap the metric in the next experiment"
    )


def _direction(result: VariantResult) -> str:
    one = result.comparison
    nearest = one.high if one.metric.higher_is_better else -one.low
    return f"worse by its interval, not by its p-value of {result.adjusted_p:.2g}; " if nearest < 0 else ""


def _days(days: float) -> str:
    return f"{days:,.0f} days" if days >= 3 else f"{days * 24:,.0f} hours" if days * 24 >= 3 else "a few hours"


def _verdict(experiment: Experiment, tally: Tally, now: datetime) -> Verdict:
    analysis = analyse(experiment.definition.design, tally.counts())
    days = {
        (result.variant, result.comparison.metric.name): left
        for result in analysis.results
        if (left := days_to_go(experiment, result, tally, now)) is not None
    }
    summary = _summary(analysis)
    return Verdict(analysis, summary, tally.units(), tally.expected(), tally.crossed, now, days, caps=tally.caps)


def _summary(analysis: Analysis) -> str:
    sentences = {
        State.SHARES_WRONG: "units are not assigned in the declared shares: find what loses them before you believe "
        "anything here",
        State.GUARDRAIL_HARMED: f"{analysis.variant} makes a guardrail worse by more than its margin: stop it",
        State.BETTER: f"{analysis.variant} is better, and harms no guardrail so far",
        State.WORSE: "every variant is worse than the control",
        State.FUTILE: "no variant is better by what is worth finding",
        State.UNDECIDED: "undecided: the data are compatible with no difference",
    }
    return sentences[analysis.state]


def days_to_go(experiment: Experiment, result: VariantResult, tally: Tally, now: datetime) -> float | None:
    """Return the days until the effect worth finding is found with the power, if units come as in this phase.

    None where the data have decided, or nothing is known of the rate or the variance.
    """
    one, found = result.comparison, result.comparison.effect
    waits = one.metric.role is Role.SUCCESS and result.finding is Finding.UNDECIDED
    if not waits or experiment.state is not Phase.RUNNING or not isinstance(found, Effect):
        return None
    if found.standard_error <= 0 or one.hangs_on_one_unit:
        return None
    design = experiment.definition.design
    came = tally.units(len(experiment.phases) - 1)
    days = max(now - experiment.phases[-1].start_time, _LEAST) / timedelta(days=1)
    per_day = (came[result.variant] + came[design.control]) / days
    drift = one.metric.relative_effect * abs(found.control) / found.standard_error / math.sqrt(found.units)
    pairs = len(design.with_role(Role.SUCCESS)) * len(design.variants)
    needed = units_until_found(drift, design.alpha / pairs, design.power, tuned_units=design.tuned_units)
    if needed is None or per_day <= 0:
        return None
    return max(needed - found.units, 0) / per_day
