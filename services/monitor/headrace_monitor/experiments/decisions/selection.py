"""The SELECT that turns the log and the outcomes into one row for each unit. Pure.

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


def read_range(experiment: Experiment, now: datetime) -> tuple[datetime, datetime]:
    """Return the time of the answers that are read."""
    start = experiment.start_time or now
    end = experiment.end_time or now
    definition = experiment.definition
    return earlier(start, definition.covariate_window), later(end, definition.attribution_window)


def units_cte(experiment: Experiment, now: datetime, attribute: str = "", *, parts: int = 1, part: int = 0) -> str:
    """Return the WITH of `per_unit`: unit, first_time, phase, variant, variants, slice_value, and y, x and c of each
    metric by its number.

    attribute: its value at a unit's first answer is the slice_value. parts, part: every so-many-th part of the units.
    """
    definition = experiment.definition
    metrics = definition.metrics
    these = f"and hash(unit) % {parts} = {part}" if parts > 1 else ""
    return f"""with answers as (
    select unit, variant, generation, answer_time, {_slice(attribute)} as slice_value from predictions
    where model = {text(experiment.model)} and unit is not null and unit <> '' {these}
), units as (
    select unit, min_by(variant, answer_time) as variant, min(answer_time) as first_time,
        min_by(slice_value, answer_time) as slice_value, min_by(generation, answer_time) as generation,
        count(distinct variant) as variants
    from answers
    where answer_time >= {instant(experiment.start_time or now)} and answer_time < {instant(experiment.end_time or now)}
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
    select assigned.*, {", ".join(_values(metrics))}
    from assigned left join sums on sums.unit = assigned.unit left join served on served.unit = assigned.unit
)"""


def units_sql(experiment: Experiment, now: datetime, *, parts: int = 1, part: int = 0) -> str:
    """Return the SELECT of one row for each unit."""
    columns = ["unit", "variant", "first_time as first_exposure", "generation", "phase", "slice_value as stratum"]
    columns.append("variants")
    for index, metric in enumerate(experiment.definition.metrics):
        columns.append(f"y{index} as {name(f'metric.{metric.name}')}")
        if experiment.definition.covariate_window:
            columns.append(f"c{index} as {name(f'metric.{metric.name}.before')}")
        if metric.kind is Kind.RATIO:
            columns.append(f"x{index} as {name(f'metric.{metric.name}.denominator')}")
    cte = units_cte(experiment, now, experiment.definition.stratify_by, parts=parts, part=part)
    return f"{cte}\nselect {', '.join(columns)} from per_unit"


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
    return f"greatest(least({total}, {metric.cap!r}::double), -{metric.cap!r}::double)" if metric.cap else total


def _denominator(metric: Metric) -> str:
    if metric.kind is not Kind.RATIO:
        return "1.0"
    if metric.denominator == PREDICTIONS:
        return "coalesce(answered, 0)::double"
    return f"coalesce({_column('sum', metric.denominator)}, 0.0)"


def _column(what: str, kind: str, suffix: str = "") -> str:
    """Return the name of a column. A kind is any word, also `unit`: with a space it is like no column of the views."""
    return name(f"{what} {kind}{suffix}")


def _interval(seconds: float) -> str:
    return f"to_microseconds({round(seconds * 1e6)})"
