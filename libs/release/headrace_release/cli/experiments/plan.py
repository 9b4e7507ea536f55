"""`headrace experiments plan`: how many units, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass

import click
from headrace.monitor.v1 import experiment_pb2 as pb
from headrace_client.cli.options import connected, model_argument
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.client import Client
from headrace_client.errors import HeadraceError, InvalidArgument

from headrace_release.cli.experiments.metrics import MetricText
from headrace_release.cli.experiments.views import show_plan

# `create` warns of what takes longer.
LONG_DAYS = 42
# Of a unit, from the sum of its outcomes.
_VALUES = {
    pb.Experiment.KIND_BINARY: "coalesce(number > 0, false)::int",
    pb.Experiment.KIND_MEAN: "coalesce(number, 0)",
}


@click.command()
@model_argument
@click.option("--metric", type=MetricText(), help="Measured on the last 14 days of the model's own traffic.")
@click.option("--mean", type=float, help="Instead: the control's mean of a unit; a rate, where no variance is given.")
@click.option("--variance", type=float, default=0.0, help="Between units; default that of a rate.")
@click.option(
    "--furthest", type=float, default=0.0, help="How far from the mean the furthest unit is; default measured."
)
@click.option("--correlation", type=float, default=0.0, help="Of a unit's value with the time before (CUPED).")
@click.option("--effect", type=float, default=0.1, show_default=True, help="Smallest worth finding, as a share.")
@click.option(
    "--alpha", type=float, default=0.05, show_default=True, help="Significance level: chance of a false difference."
)
@click.option("--power", type=float, default=0.8, show_default=True, help="Chance to find the effect.")
@click.option("--share", type=float, default=0.5, show_default=True, help="Of the variant, among it and the control.")
@click.option("--per-day", type=float, default=0.0, help="New units a day, for how long it takes; default measured.")
@connected
def plan(
    client: Client,
    output: Output,
    model: str,
    metric: pb.Experiment.Metric | None,
    mean: float | None,
    variance: float,
    furthest: float,
    correlation: float,
    effect: float,
    alpha: float,
    power: float,
    share: float,
    per_day: float,
) -> None:
    """Say how many units an experiment needs: with one look at the end, and with looks at any time.

    \b
    Examples:
      headrace experiments plan shop --metric conversion --effect 0.05
      headrace experiments plan shop --mean 0.05 --per-day 10000
      headrace experiments plan shop --mean 31.5 --variance 900 --correlation 0.6
    """
    if (metric is None) == (mean is None):
        raise InvalidArgument("give either --metric, which is measured, or --mean")
    if metric is not None:
        past = measured(client, model, metric)
        mean, variance = past.mean, past.variance
        furthest, per_day = furthest or past.furthest, per_day or past.per_day
        output.note(
            f"{shown(metric.name)}: {mean:.4g} of a unit, variance {variance:.4g}, "
            f"the furthest {past.furthest:.4g} away, {past.per_day:,.0f} units a day"
        )
    found = client.experiments.plan(
        pb.PlanExperimentRequest(
            parent=f"models/{model}",
            mean=mean,
            variance=variance,
            furthest=furthest,
            correlation=correlation,
            relative_effect=effect,
            alpha=alpha,
            power=power,
            share=share,
            units_per_day=per_day,
        )
    )
    if output.as_json:
        output.document(message_json(found))
    else:
        show_plan(output, found)


@dataclass(frozen=True, slots=True)
class Past:
    """What the units of the last 14 days were. furthest: distance of the unit that is furthest from the mean."""

    mean: float
    variance: float
    furthest: float
    per_day: float


def measured(client: Client, model: str, metric: pb.Experiment.Metric) -> Past:
    """Return what a metric was in the last 14 days. Raises InvalidArgument."""
    outcome = metric.outcome or metric.name
    if metric.kind not in _VALUES or not outcome.replace("_", "").isalnum():
        raise InvalidArgument(f"{metric.name}: only rates and means are measured; give --mean and --variance")
    value = _VALUES[metric.kind]
    about, times = f"model = '{model}'", "answer_time > now() - interval 14 days"
    sql = f"""with facts as (select unit, sum(outcome_number) as number from labelled
        where {about} and {times} and outcome_kind = '{outcome}' group by unit),
    units as (select unit, min(answer_time) as first from predictions
        where {about} and {times} and unit <> '' group by unit)
    select avg(value), var_samp(value), greatest(max(value) - avg(value), avg(value) - min(value)),
        count(*) / greatest(date_diff('hour', min(first), now()) / 24.0, 1.0)
    from (select first, {value} as value from units left join facts using (unit))"""
    (row,) = client.monitor.query(sql).table().to_pylist()
    mean, variance, furthest, per_day = row.values()
    if not mean or not variance:
        raise InvalidArgument(f"the last 14 days of '{model}' have no {outcome} to measure: give --mean and --variance")
    return Past(mean, variance, furthest, per_day)


def warn_of_long(client: Client, output: Output, model: str, experiment: pb.Experiment) -> None:
    """Name the success metrics that need more than LONG_DAYS, where their history and the traffic are known."""
    weights = [one.weight for one in experiment.variants]
    for metric in experiment.metrics:
        if metric.role != pb.Experiment.ROLE_SUCCESS or metric.cap or metric.cap_quantile:
            continue
        try:
            past = measured(client, model, metric)
            request = pb.PlanExperimentRequest(
                parent=f"models/{model}",
                mean=past.mean,
                variance=past.variance,
                furthest=past.furthest,
                relative_effect=metric.relative_effect,
                alpha=experiment.alpha,
                power=experiment.power,
                share=weights[1] / (weights[0] + weights[1]),
                units_per_day=past.per_day * (weights[0] + weights[1]) / sum(weights),
            )
            days = client.experiments.plan(request).any_look_days
        except HeadraceError:
            continue  # there is no history to measure, or the caller may not read it
        if days > LONG_DAYS:
            output.note(
                f"{shown(metric.name)}: at {past.per_day:,.0f} units a day a change by "
                f"{metric.relative_effect:.3g} of the control is found after about {days:,.0f} days: "
                f"choose a larger --effect, more even weights, or a --cap where a few units have most of it"
            )
