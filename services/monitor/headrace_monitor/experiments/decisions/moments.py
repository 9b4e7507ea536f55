"""The SELECT that turns units into moments by slice, step of time, phase, variant and metric. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace_statistics.experiments.design import Kind
from headrace_statistics.experiments.quantiles import levels

from headrace_monitor.experiments.decisions.definitions import Definition, Experiment, Metric
from headrace_monitor.experiments.decisions.selection import instant, units_cte

# Of an attribute; smaller ones say nothing.
MAX_SLICES = 20
MAX_STEPS = 30


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
    """Return one SELECT, whose rows `tally.rows_of` reads: by slice, step, phase and variant the units, those that met
    several variants, those that metrics are of, and the numbers of every metric; and of each quantile its curve, of all
    units up to the step.

    slice_by: attribute whose value at a unit's first answer is its slice; the slices that most units have. Without it
    slices are the strata of the experiment, where it has some.
    """
    cte = units_cte(experiment, now, slice_by or experiment.definition.stratify_by)
    return f"{cte}, {moments_of_units(experiment, slice_by, steps)}"


def moments_of_units(experiment: Experiment, slice_by: str = "", steps: Steps | None = None) -> str:
    """Return the part of the SELECT after `per_unit`, which reads each unit once but for quantiles."""
    definition = experiment.definition
    frequent = (
        f"select slice_value from per_unit group by slice_value order by count(*) desc, slice_value limit {MAX_SLICES}"
    )
    value, where = "''", ""
    if slice_by:
        value, where = "slice_value", f"where slice_value in ({frequent})"
    elif definition.stratify_by:  # all other values are one stratum
        value = f"case when slice_value in ({frequent}) then slice_value end"
    columns = ["phase", "variant", "variants", f"{value} as slice_value", f"{_step(steps)} as step"]
    columns += [f"{letter}{index}" for index, _ in enumerate(definition.metrics) for letter in "yxc"]
    selects = [_moments(definition)]
    selects += [
        _curves(index, metric, definition, sliced=bool(slice_by), steps=steps)
        for index, metric in enumerate(definition.metrics)
        if metric.kind is Kind.QUANTILE
    ]
    placed = f"placed as (\n    select {', '.join(columns)} from per_unit {where}\n)"
    return f"{placed}\n{' union all '.join(selects)}"


def _step(steps: Steps | None) -> str:
    if steps is None:
        return "0"
    width = round(steps.width / timedelta(microseconds=1))
    passed = f"(epoch_us(first_time) - epoch_us({instant(steps.start)})) // {width}"
    return f"least({passed}, {steps.count - 1})::integer"


def _moments(definition: Definition) -> str:
    counted = " filter (where variants = 1)" if definition.exclude_crossed else ""
    numbers = [
        number
        for index, metric in enumerate(definition.metrics)
        for number in _numbers(index, metric, counted, covariate=bool(definition.covariate_window))
    ]
    return (
        "select slice_value, step, null::integer as metric, phase, variant, count(*) as units, "
        f"count(*) filter (where variants > 1) as crossed, count(*){counted} as counted, "
        f"[{', '.join(numbers)}]::double[] as numbers, null::double[] as curve "
        "from placed group by slice_value, step, phase, variant"
    )


def _numbers(index: int, metric: Metric, counted: str, *, covariate: bool) -> Iterator[str]:
    """Yield means of y, x and c, and their co-moments; what is the same for all units is not summed."""
    varies = {"y": metric.kind is not Kind.QUANTILE, "x": metric.kind is Kind.RATIO}
    varies["c"] = covariate and varies["y"]
    for each in "yxc":
        yield f"avg({each}{index}){counted}" if varies[each] else "1" if each == "x" else "0"
    for one, other in ("yy", "yx", "yc", "xx", "xc", "cc"):
        both = varies[one] and varies[other]
        yield f"covar_pop({one}{index}, {other}{index}){counted} * count(*){counted}" if both else "0"


def _curves(index: int, metric: Metric, definition: Definition, *, sliced: bool, steps: Steps | None) -> str:
    value = "slice_value" if sliced else "''"
    which = "where variants = 1" if definition.exclude_crossed else ""
    ranks = ", ".join(format(each, ".9g") for each in levels(metric.quantile).tolist())
    # Curves of parts do not add up to that of the whole, so that each step has its own of all units until then.
    until = f"(select unnest(range({steps.count if steps else 1})) as until)"
    return (
        f"select {value}, until::integer as step, {index} as metric, phase, variant, count(*), 0, count(*), "
        f"null::double[], quantile_disc(y{index}, [{ranks}]) as curve "
        f"from placed join {until} on placed.step <= until {which} group by {value}, until, phase, variant"
    )
