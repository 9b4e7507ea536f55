"""The SELECT that turns the log and the outcomes into moments by phase, variant and metric. Pure.

A unit is assigned by its first answer in the experiment's time: late, repeated and reordered records change nothing.
Its outcomes count while they became true within the attribution window after that. Everything is recomputed from the
log, so that corrections and late data are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace_statistics.experiments.design import Kind

from headrace_monitor.experiments.decisions.definitions import PREDICTIONS, Experiment, Metric
from headrace_monitor.query.decisions.views import name, text
from headrace_monitor.times import earlier, later

# Of an attribute; smaller ones say nothing.
MAX_SLICES = 20


def read_range(experiment: Experiment, now: datetime) -> tuple[datetime, datetime]:
    """Return the time of the answers that are read."""
    start = experiment.start_time or now
    end = experiment.end_time or now
    definition = experiment.definition
    return earlier(start, definition.covariate_window), later(end, definition.attribution_window)


def moments_sql(experiment: Experiment, now: datetime, slice_by: str = "") -> str:
    """Return one SELECT. Its rows: slice, metric (null: the units themselves), phase, variant, units, crossed, and the
    means and co-moments of y, x and c.

    slice_by: attribute whose value at a unit's first answer is its slice; the slices that most units have.
    """
    definition = experiment.definition
    metrics = definition.metrics
    selects = [_counts(), *(_moments(index, metric) for index, metric in enumerate(metrics))]
    return f"""with answers as (
    select unit, variant, answer_time, {_slice(slice_by)} as slice_value from predictions
    where model = {text(experiment.model)} and unit is not null and unit <> ''
), units as (
    select unit, min_by(variant, answer_time) as variant, min(answer_time) as first_time,
        min_by(slice_value, answer_time) as slice_value, count(distinct variant) as variants
    from answers
    where answer_time >= {_time(experiment.start_time or now)} and answer_time < {_time(experiment.end_time or now)}
        and variant in ({", ".join(text(each) for each in definition.weights)})
    group by unit
), assigned as (
    select *, {_phase(experiment)} as phase from units
), facts as (
    select labelled.unit, outcome_kind as kind, outcome_number as number, outcome_time, first_time
    from labelled join assigned on assigned.unit = labelled.unit
    where labelled.model = {text(experiment.model)} and isfinite(outcome_number)
), sums as (
    select unit, {", ".join(_sums(experiment))}
    from facts group by unit
), served as (
    select answers.unit,
        count(*) filter (where answer_time >= first_time
            and answer_time < first_time + {_interval(definition.attribution_window.total_seconds())}) as answered,
        count(*) filter (where answer_time < first_time
            and answer_time >= first_time - {_interval(definition.covariate_window.total_seconds())}) as answered_before
    from answers join assigned on assigned.unit = answers.unit group by answers.unit
), per_unit as (
    select assigned.slice_value, assigned.phase, assigned.variant, assigned.variants, {", ".join(_values(metrics))}
    from assigned left join sums on sums.unit = assigned.unit left join served on served.unit = assigned.unit
    where assigned.slice_value in (
        select slice_value from assigned group by slice_value order by count(*) desc, slice_value limit {MAX_SLICES}
    )
)
{" union all ".join(selects)}"""


def _slice(attribute: str) -> str:
    # No value is null, which `in` would leave out.
    return f"coalesce(attributes[{text(attribute)}], '')" if attribute else "''"


def _phase(experiment: Experiment) -> str:
    cases = [
        f"when first_time >= {_time(phase.start_time)} then {index}"
        for index, phase in reversed(list(enumerate(experiment.phases)))
    ]
    return f"case {' '.join(cases)} else 0 end"


def _sums(experiment: Experiment) -> list[str]:
    definition = experiment.definition
    after = "outcome_time >= first_time and outcome_time < first_time + " + _interval(
        definition.attribution_window.total_seconds()
    )
    before = "outcome_time < first_time and outcome_time >= first_time - " + _interval(
        definition.covariate_window.total_seconds()
    )
    columns = []
    for kind in sorted({each for metric in definition.metrics for each in (metric.outcome, metric.denominator)}):
        if kind not in ("", PREDICTIONS):
            for suffix, condition in (("", after), (" before", before)):
                total = f"sum(number) filter (where kind = {text(kind)} and {condition})"
                columns.append(f"{total} as {_column('sum', kind, suffix)}")
                most = f"max(number) filter (where kind = {text(kind)} and {condition})"
                columns.append(f"{most} as {_column('most', kind, suffix)}")
    return columns


def _values(metrics: Sequence[Metric]) -> list[str]:
    columns = []
    for index, metric in enumerate(metrics):
        for letter, suffix in (("y", ""), ("c", " before")):
            columns.append(f"{_numerator(metric, suffix)} as {letter}{index}")
        columns.append(f"{_denominator(metric)} as x{index}")
    return columns


def _numerator(metric: Metric, suffix: str) -> str:
    if metric.kind is Kind.BINARY:
        return f"case when {_column('most', metric.outcome, suffix)} > 0 then 1.0 else 0.0 end"
    total = f"coalesce({_column('sum', metric.outcome, suffix)}, 0.0)"
    return f"least({total}, {metric.cap!r}::double)" if metric.cap else total


def _denominator(metric: Metric) -> str:
    if metric.kind is not Kind.RATIO:
        return "1.0"
    if metric.denominator == PREDICTIONS:
        return "coalesce(answered, 0)::double"
    return f"coalesce({_column('sum', metric.denominator)}, 0.0)"


def _column(what: str, kind: str, suffix: str = "") -> str:
    """Return the name of a column. A kind is any word, also `unit`: with a space it is like no column of the views."""
    return name(f"{what} {kind}{suffix}")


def _counts() -> str:
    empty = ", ".join(["null::double"] * 9)
    return (
        "select slice_value, null::integer as metric, phase, variant, count(*) as units, "
        f"count(*) filter (where variants > 1) as crossed, {empty} from per_unit group by slice_value, phase, variant"
    )


def _moments(index: int, metric: Metric) -> str:
    y, x, c = f"y{index}", f"x{index}", f"c{index}"
    means = [f"avg({each})" for each in (y, x, c)]
    pairs = [(y, y), (y, x), (y, c), (x, x), (x, c), (c, c)]
    comoments = [f"covar_pop({a}, {b}) * count(*)" for a, b in pairs]
    return (
        f"select slice_value, {index} as metric, phase, variant, count(*) as units, 0 as crossed, "
        f"{', '.join(means + comoments)} from per_unit group by slice_value, phase, variant"
    )


def _time(time: datetime) -> str:
    return f"timestamptz {text(time.isoformat())}"


def _interval(seconds: float) -> str:
    return f"to_microseconds({round(seconds * 1e6)})"
