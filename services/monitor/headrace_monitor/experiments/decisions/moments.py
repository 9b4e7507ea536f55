"""The SELECT that turns units into moments by slice, step of time, phase, variant and metric. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace_statistics.experiments.design import Kind
from headrace_statistics.experiments.quantiles import levels

from headrace_monitor.experiments.decisions.definitions import Experiment, Metric
from headrace_monitor.experiments.decisions.selection import instant, units_cte

# Of an attribute; smaller ones say nothing.
MAX_SLICES = 20
MAX_STEPS = 30
_NUMBERS = 9


@dataclass(frozen=True, slots=True)
class Steps:
    """Times at equal distances: a unit is in the step of its first answer."""

    start: datetime
    width: timedelta
    count: int

    @property
    def ends(self) -> list[datetime]:
        return [self.start + (at + 1) * self.width for at in range(self.count)]


def steps_of(experiment: Experiment, now: datetime) -> Steps:
    """Return the steps from the start until now, or the end.

    A whole number of minutes, hours or days long, but for the last one; in less than half an hour of seconds.
    """
    start, end = experiment.start_time or now, max(experiment.end_time or now, experiment.start_time or now)
    sizes = [timedelta(seconds=s) for s in (1, 5, 10, 30, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600)]
    sizes += [timedelta(days=days) for days in (1, 2, 7, 14, 28)]
    width = next((size for size in sizes if (end - start) <= size * MAX_STEPS), (end - start) / MAX_STEPS)
    return Steps(start, width, min(max(-(-(end - start) // width), 1), MAX_STEPS))


def moments_sql(experiment: Experiment, now: datetime, slice_by: str = "", steps: Steps | None = None) -> str:
    """Return one SELECT. Its rows: slice, step, metric (null: the units themselves), phase, variant, units, crossed,
    the means and co-moments of y, x and c, and of a quantile its curve, of all units up to the step.

    slice_by: attribute whose value at a unit's first answer is its slice; the slices that most units have. Without it
    slices are the strata of the experiment, where it has some.
    """
    definition = experiment.definition
    cte = units_cte(experiment, now, slice_by or definition.stratify_by)
    frequent = (
        f"select slice_value from assigned group by slice_value order by count(*) desc, slice_value limit {MAX_SLICES}"
    )
    # All others are one stratum, and no slice.
    value = "slice_value" if slice_by else f"case when slice_value in ({frequent}) then slice_value end"
    where = f"where slice_value in ({frequent})" if slice_by else ""
    columns = ["phase", "variant", "variants", f"{value} as slice_value", f"{_step(steps)} as step"]
    columns += [f"{letter}{index}" for index, _ in enumerate(definition.metrics) for letter in "yxc"]
    selects = [_counts()]
    for index, metric in enumerate(definition.metrics):
        which = "where variants = 1" if definition.exclude_crossed else ""
        if metric.kind is Kind.QUANTILE:
            selects.append(_curves(index, metric, which, sliced=bool(slice_by), steps=steps))
        else:
            selects.append(_moments(index, which))
    joined = " union all ".join(selects)
    return f"{cte}, placed as (\n    select {', '.join(columns)} from per_unit {where}\n)\n{joined}"


def _step(steps: Steps | None) -> str:
    if steps is None:
        return "0"
    width = round(steps.width / timedelta(microseconds=1))
    passed = f"(epoch_us(first_time) - epoch_us({instant(steps.start)})) // {width}"
    return f"least({passed}, {steps.count - 1})::integer"


def _counts() -> str:
    empty = ", ".join(["null::double"] * _NUMBERS)
    return (
        "select slice_value, step, null::integer as metric, phase, variant, count(*) as units, "
        f"count(*) filter (where variants > 1) as crossed, {empty}, null::double[] as curve "
        "from placed group by slice_value, step, phase, variant"
    )


def _moments(index: int, which: str) -> str:
    y, x, c = f"y{index}", f"x{index}", f"c{index}"
    means = [f"avg({each})" for each in (y, x, c)]
    pairs = [(y, y), (y, x), (y, c), (x, x), (x, c), (c, c)]
    comoments = [f"covar_pop({a}, {b}) * count(*)" for a, b in pairs]
    return (
        f"select slice_value, step, {index} as metric, phase, variant, count(*) as units, 0 as crossed, "
        f"{', '.join(means + comoments)}, null::double[] as curve "
        f"from placed {which} group by slice_value, step, phase, variant"
    )


def _curves(index: int, metric: Metric, which: str, *, sliced: bool, steps: Steps | None) -> str:
    value = "slice_value" if sliced else "''"
    empty = ", ".join(["null::double"] * _NUMBERS)
    ranks = ", ".join(format(each, ".9g") for each in levels(metric.quantile).tolist())
    # Curves of parts do not add up to that of the whole, so that each step has its own of all units until then.
    until = f"(select unnest(range({steps.count if steps else 1})) as until)"
    return (
        f"select {value}, until::integer as step, {index} as metric, phase, variant, count(*) as units, 0 as crossed, "
        f"{empty}, quantile_disc(y{index}, [{ranks}]) as curve "
        f"from placed join {until} on placed.step <= until {which} group by {value}, until, phase, variant"
    )
