"""The SELECT that turns the log and the outcomes into one row for each unit. Pure.

A unit is assigned by its first answer in the experiment's time: late, repeated and reordered records change nothing.
Its outcomes count if they became true within the attribution window after that. All counts are computed from all
answers and outcomes of a unit, so that corrections and late data are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace_servicekit.times import earlier, later
from headrace_statistics.experiments.design import Kind

from headrace_monitor.judge.experiments.decisions.definitions import PREDICTIONS, Experiment, Metric
from headrace_monitor.record.query.decisions.views import name, text


def read_range(experiment: Experiment, now: datetime) -> tuple[datetime, datetime]:
    """Return the time of the answers that are read."""
    start = experiment.start_time or now
    end = experiment.end_time or now
    definition = experiment.definition
    return earlier(start, definition.covariate_window), later(end, definition.attribution_window)


def counting_cte(experiment: Experiment, attribute: str = "", *, where: str = "") -> str:
    """Return the WITH of `counted`: unit, variant, first_time, generation, slice_value, variants, and y, x and c of
    each metric by its number; values are not capped yet.

    attribute: its value at a unit's first answer is the slice_value. where: of the units, to count some of them.
    Nothing depends on the order of what is read: a unit's numbers are summed from the smallest one on.
    """
    definition = experiment.definition
    end = f" and answer_time < {instant(experiment.end_time)}" if experiment.end_time else ""
    names = list(definition.weights)
    marks = " ".join(f"when {text(each)} then {1 << at}" for at, each in enumerate(names))
    return f"""with answers as (
    select unit, variant, generation, answer_time, {_slice(attribute)} as slice_value from predictions
    where model = {text(experiment.model)} and unit is not null and unit <> '' {where and f"and {where}"}
), first_answers as (
    select unit,
        min({{'time': answer_time, 'variant': variant, 'generation': generation, 'value': slice_value}}) as one,
        bit_count(bit_or(case variant {marks} end)) as variants
    from answers
    where answer_time >= {instant(experiment.start_time or experiment.create_time)}{end}
        and variant in ({", ".join(map(text, names))})
    group by unit
), assigned as (
    select unit, one.variant as variant, one.time as first_time, one.generation as generation,
        one.value as slice_value, variants
    from first_answers
), facts as (
    select labelled.unit, outcome_kind as kind, outcome_number as number, outcome_time, first_time
    from labelled join assigned on assigned.unit = labelled.unit
    where labelled.model = {text(experiment.model)} and isfinite(outcome_number)
), sums as (
    select {", ".join(["unit", *_sums(experiment)])}
    from facts group by unit
), served as (
    select answers.unit,
        count(*) filter (where answer_time >= first_time
            and answer_time < first_time + {_interval(definition.attribution_window.total_seconds())}) as answered
    from answers join assigned on assigned.unit = answers.unit group by answers.unit
), counted as (
    select assigned.*, {", ".join(_values(definition.metrics, before=bool(definition.covariate_window)))}
    from assigned left join sums on sums.unit = assigned.unit left join served on served.unit = assigned.unit
)"""


def from_log(experiment: Experiment, sql: str, attribute: str = "") -> str:
    """Return a SELECT over `counted` as one over the log and the outcomes. attribute: as in `counting_cte`."""
    return f"{counting_cte(experiment, attribute)}, {sql.removeprefix('with ')}"


def per_unit_cte(experiment: Experiment, source: str = "counted") -> str:
    """Return the parts of a WITH that make `per_unit` of `counted`: with the phase of each unit, and values capped; and
    `caps`, with those that are found.
    """
    metrics = list(enumerate(experiment.definition.metrics))
    found = [f"({_found_cap(f'y{index}', metric, source)}) as cap{index}" for index, metric in metrics]
    caps = [
        f"{_capped(f'{letter}{index}', f'{metric.cap!r}::double' if metric.cap else f'cap{index}')} as {letter}{index}"
        for index, metric in metrics
        if (metric.cap or metric.cap_quantile) and metric.kind is not Kind.BINARY
        for letter in "yc"
    ]
    replace = f" replace ({', '.join(caps)})" if caps else ""
    return (
        f"caps as (\n    select {', '.join(found) or '0'}\n), per_unit as (\n"
        f"    select {source}.*{replace}, {_phase(experiment)} as phase from {source} cross join caps\n)"
    )


def _found_cap(column: str, metric: Metric, source: str) -> str:
    if not metric.cap_quantile:
        return "null::double"
    first = f"select {column} from {source} order by first_time, unit limit {metric.cap_units}"
    return f"select quantile_disc(abs({column}), {metric.cap_quantile!r}) from ({first}) where {column} <> 0"


def units_sql(experiment: Experiment, *, parts: int = 1, part: int = 0) -> str:
    """Return the SELECT of one row for each unit in `counted`. parts, part: every so-many-th part of the units."""
    columns = ["unit", "variant", "first_time as first_exposure", "generation", "phase", "slice_value as stratum"]
    columns.append("variants")
    for index, metric in enumerate(experiment.definition.metrics):
        columns.append(f"y{index} as {name(f'metric.{metric.name}')}")
        if experiment.definition.covariate_window:
            columns.append(f"c{index} as {name(f'metric.{metric.name}.before')}")
        if metric.kind is Kind.RATIO:
            columns.append(f"x{index} as {name(f'metric.{metric.name}.denominator')}")
    these = f" where hash(unit) % {parts} = {part}" if parts > 1 else ""
    return f"with {per_unit_cte(experiment)}\nselect {', '.join(columns)} from per_unit{these}"


def instant(time: datetime) -> str:
    """Return a time as SQL."""
    return f"timestamptz {text(time.isoformat())}"


def _slice(attribute: str) -> str:
    # No value is null, which `in` would leave out.
    return f"coalesce(attributes[{text(attribute)}], '')" if attribute else "''"


def _phase(experiment: Experiment) -> str:
    cases = [
        f"when first_time >= {instant(phase.start_time)} then {index}"
        for index, phase in reversed(list(enumerate(experiment.phases)))
    ]
    return f"case {' '.join(cases)} else 0 end"


def _sums(experiment: Experiment) -> list[str]:
    """Return what is summed of each kind of outcome: what its metrics need, and nothing else."""
    definition = experiment.definition
    window = _interval(definition.attribution_window.total_seconds())
    conditions = {"": f"outcome_time >= first_time and outcome_time < first_time + {window}"}
    if definition.covariate_window:
        window = _interval(definition.covariate_window.total_seconds())
        conditions[" before"] = f"outcome_time < first_time and outcome_time >= first_time - {window}"
    columns = []
    for what, kind in sorted(_summed(definition.metrics)):
        for suffix, condition in conditions.items():
            those = f"filter (where kind = {text(kind)} and {condition})"
            total = f"max(number) {those}" if what == "most" else f"list_sum(list_sort(list(number) {those}))"
            columns.append(f"{total} as {_column(what, kind, suffix)}")
    return columns


def _summed(metrics: Sequence[Metric]) -> set[tuple[str, str]]:
    above = {("most" if metric.kind is Kind.BINARY else "sum", metric.outcome) for metric in metrics}
    below = {("sum", metric.denominator) for metric in metrics if metric.denominator not in ("", PREDICTIONS)}
    return above | below


def _values(metrics: Sequence[Metric], *, before: bool) -> list[str]:
    columns = []
    for index, metric in enumerate(metrics):
        columns.append(f"{_numerator(metric, '')} as y{index}")
        columns.append(f"{_numerator(metric, ' before') if before else '0.0::double'} as c{index}")
        columns.append(f"{_denominator(metric)}::double as x{index}")
    return columns


def _numerator(metric: Metric, suffix: str) -> str:
    if metric.kind is Kind.BINARY:
        return f"case when {_column('most', metric.outcome, suffix)} > 0 then 1.0 else 0.0 end::double"
    return f"coalesce({_column('sum', metric.outcome, suffix)}, 0.0)"


def _capped(value: str, cap: str) -> str:
    # Both ignore what is null: a cap that is not found.
    return f"greatest(least({value}, {cap}), -{cap})"


def _denominator(metric: Metric) -> str:
    if metric.kind is not Kind.RATIO:
        return "1.0"
    if metric.denominator == PREDICTIONS:
        return "coalesce(answered, 0)"
    return f"coalesce({_column('sum', metric.denominator)}, 0.0)"


def _column(what: str, kind: str, suffix: str = "") -> str:
    """Return the name of a column. A kind is any word, also `unit`: with a space it is like no column of the views."""
    return name(f"{what} {kind}{suffix}")


def _interval(seconds: float) -> str:
    return f"to_microseconds({round(seconds * 1e6)})"
