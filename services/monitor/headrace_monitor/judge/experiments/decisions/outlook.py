"""Forecast of an experiment's remaining time. Pure."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from headrace_statistics.experiments.analysis import Finding, VariantResult
from headrace_statistics.experiments.design import Role
from headrace_statistics.experiments.effects import Effect
from headrace_statistics.experiments.sizes import units_until_found

from headrace_monitor.judge.experiments.decisions.definitions import Experiment, State
from headrace_monitor.judge.experiments.decisions.tally import Tally

_LEAST = timedelta(seconds=1)


def days_to_go(experiment: Experiment, result: VariantResult, tally: Tally, now: datetime) -> float | None:
    """Return the days until the effect worth finding is found with the power, if units come as in this phase.

    None where the data have decided, or nothing is known of the rate or the variance.
    """
    one, found = result.comparison, result.comparison.effect
    waits = one.metric.role is Role.SUCCESS and result.finding is Finding.UNDECIDED
    if not waits or experiment.state is not State.RUNNING or not isinstance(found, Effect):
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
