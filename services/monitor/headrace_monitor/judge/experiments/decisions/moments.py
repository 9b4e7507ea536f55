"""The SELECT that turns units into moments by slice, step of time, phase, variant and metric. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations_with_replacement

from headrace_statistics.experiments.design import Kind
from headrace_statistics.experiments.quantiles import levels

from headrace_monitor.judge.experiments.decisions.definitions import Definition, Experiment, Metric
from headrace_monitor.judge.experiments.decisions.selection import instant, per_unit_cte

# Of an attribute; smaller ones say nothing.
MAX_SLICES = 20
MAX_STEPS = 30

# Of the largest value. Sums of squares of 2^32 units have room in 128 bits.
_BITS = 46
# 2^1000 times the smallest numbers is still one.
_MOST_EXPONENT = 1000


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


def moments_sql(experiment: Experiment, slice_by: str = "", steps: Steps | None = None) -> str:
    """Return one SELECT over `counted`, whose rows `tally.rows_of` reads: by slice, step, phase and variant the units,
    those that met several variants, those that metrics are of, and the sums and ends of every metric; and of each
    quantile its curve, of all units up to the step.

    slice_by: attribute that is the slice_value: the slices that most units have. Without it slices are the strata of
    the experiment, where it has some.

    Sums are of whole numbers, each a value times a power of 2 that keeps 47 bits of the largest: they are the same in
    whatever order units come, and parts of them add up to the last digit.
    """
    return f"with {per_unit_cte(experiment)}, {_moments_of_units(experiment, slice_by, steps)}"


def _moments_of_units(experiment: Experiment, slice_by: str, steps: Steps | None) -> str:
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
    return f"{placed}, {_whole_numbers(definition)}\n{' union all '.join(selects)}"


def _step(steps: Steps | None) -> str:
    if steps is None:
        return "0"
    width = round(steps.width / timedelta(microseconds=1))
    passed = f"(epoch_us(first_time) - epoch_us({instant(steps.start)})) // {width}"
    return f"least({passed}, {steps.count - 1})::integer"


def _varying(definition: Definition) -> dict[str, bool]:
    """Return the columns of `placed` that are summed, and whether they are 0 or 1. What all units share is not."""
    varying = {}
    for index, metric in enumerate(definition.metrics):
        if metric.kind is not Kind.QUANTILE:
            binary = metric.kind is Kind.BINARY
            varying[f"y{index}"] = binary
            if metric.kind is Kind.RATIO:
                varying[f"x{index}"] = False
            if definition.covariate_window:
                varying[f"c{index}"] = binary
    return varying


def _whole_numbers(definition: Definition) -> str:
    """Return the part of the WITH in which each value is a whole number, and the scales of those that are not 0 or 1.

    A column with a value that is not finite has the scale 0, and no numbers.
    """
    varying = _varying(definition)
    scales = ", ".join(f"{_scale(column)} as p_{column}" for column, binary in varying.items() if not binary)
    numbers = ", ".join(
        f"{column}::bigint as {column}"
        if binary
        else f"case when p_{column} > 0 then round({column} * p_{column})::bigint else 0 end as {column}"
        for column, binary in varying.items()
    )
    columns = ", ".join(["phase", "variant", "variants", "slice_value", "step", *filter(None, [numbers])])
    return (
        f"scales as (\n    select {scales or '1 as nothing'} from {'placed' if scales else '(select 1)'}\n), "
        f"numbers as (\n    select {columns} from placed cross join scales\n)"
    )


def _scale(column: str) -> str:
    most = f"max(abs({column}))"
    bits = f"least({_BITS} - floor(log2({most})), {_MOST_EXPONENT})"
    return f"case when coalesce({most}, 0.0) = 0 then 1.0 when isfinite({most}) then pow(2.0, {bits}) else 0.0 end"


def _moments(definition: Definition) -> str:
    counted = " filter (where variants = 1)" if definition.exclude_crossed else ""
    varying = _varying(definition)
    sums, scales = [], []
    for index, _ in enumerate(definition.metrics):
        columns = [f"{letter}{index}" for letter in "yxc"]
        for column in columns:
            sums.append(f"sum({column}){counted}" if column in varying else f"count(*){counted} * {column[0] == 'x':d}")
            scales.append(f"(select p_{column} from scales)" if varying.get(column) is False else "1.0")
        for one, other in combinations_with_replacement(columns, 2):
            both = one in varying and other in varying
            sums.append(f"sum({one}::hugeint * {other}){counted}" if both else "null")
        sums += [f"{end}({columns[0]}){counted}" if columns[0] in varying else "null" for end in ("min", "max")]
    caps = ", ".join(f"(select cap{index} from caps)" for index, _ in enumerate(definition.metrics))
    return (
        "select slice_value, step, null::integer as metric, phase, variant, count(*) as units, "
        f"count(*) filter (where variants > 1) as crossed, count(*){counted} as counted, "
        f"[{', '.join(f'({each})::varchar' for each in sums)}] as sums, [{', '.join(scales)}]::double[] as scales, "
        f"null::double[] as curve, [{caps}]::double[] as caps "
        "from numbers group by slice_value, step, phase, variant"
    )


def _curves(index: int, metric: Metric, definition: Definition, *, sliced: bool, steps: Steps | None) -> str:
    value = "slice_value" if sliced else "''"
    which = "where variants = 1" if definition.exclude_crossed else ""
    ranks = ", ".join(format(each, ".9g") for each in levels(metric.quantile).tolist())
    # Curves of parts do not add up to that of the whole, so that each step has its own of all units until then.
    until = f"(select unnest(range({steps.count if steps else 1})) as until)"
    return (
        f"select {value}, until::integer as step, {index} as metric, phase, variant, count(*), 0, count(*), "
        f"null::varchar[], null::double[], quantile_disc(y{index}, [{ranks}]) as curve, null::double[] "
        f"from placed join {until} on placed.step <= until {which} group by {value}, until, phase, variant"
    )
