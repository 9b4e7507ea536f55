"""`headrace experiments`: which variant is better for people."""

from __future__ import annotations

from datetime import timedelta

import click
from headrace.monitor.v1 import experiment_pb2 as pb
from headrace_client.cli.options import connected, model_argument
from headrace_client.cli.output import Output, last, message_json, shown
from headrace_client.cli.values import Duration, NumberPair
from headrace_client.client import Client

from headrace_release.cli.experiments.conclusion import conclude, experiment_argument
from headrace_release.cli.experiments.export import export
from headrace_release.cli.experiments.history import history, report
from headrace_release.cli.experiments.metrics import MetricText
from headrace_release.cli.experiments.plan import plan, warn_of_long
from headrace_release.cli.experiments.progress import watch
from headrace_release.cli.experiments.views import row_of, show_analysis


@click.group()
def experiments() -> None:
    """Compare the variants of a route by what became of the users that each of them answered.

    An experiment may be looked at as often as you like: its intervals and p-values hold at every look together.

    \b
    Examples:
      headrace experiments plan shop --metric conversion --effect 0.1
      headrace experiments create shop ranking --metric conversion --guardrail=-error
      headrace experiments start shop ranking
      headrace experiments watch shop ranking
      headrace experiments conclude shop ranking --promote new
    """


experiments.add_command(plan)
experiments.add_command(conclude)
experiments.add_command(export)
experiments.add_command(history)
experiments.add_command(report)
experiments.add_command(watch)


@experiments.command()
@model_argument
@experiment_argument
@click.option("--metric", "success", type=MetricText(), multiple=True, required=True, help="Decides; repeatable.")
@click.option("--guardrail", type=MetricText(), multiple=True, help="Must not become worse; repeatable.")
@click.option("--quality", type=MetricText(), multiple=True, help="Is shown; repeatable.")
@click.option(
    "--variant", type=NumberPair(), multiple=True, help="NAME=WEIGHT, the control first; default the route's."
)
@click.option(
    "--effect", type=float, default=0.0, help="Smallest worth finding, as a share of the control; default .1."
)
@click.option("--margin", type=float, default=0.0, help="How much worse a guardrail may get; default .02.")
@click.option("--alpha", type=float, default=0.0, help="Significance level: chance of a false difference; default .05.")
@click.option("--units", type=click.IntRange(0), default=0, help="Planned; intervals are tightest there.")
@click.option("--window", type=Duration(), help="Outcomes count so long after a unit's first answer; default 7d.")
@click.option("--before", type=Duration(), help="Outcomes of so long before adjust a unit's values (CUPED).")
@click.option("--cap", type=NumberPair(), multiple=True, help="METRIC=NUMBER: a unit counts from -NUMBER to NUMBER.")
@click.option(
    "--cap-quantile",
    type=NumberPair(),
    multiple=True,
    help="METRIC=.99: the cap is this quantile of the values of the first 1,000 units that are not 0.",
)
@click.option("--stratify-by", metavar="ATTRIBUTE", default="", help="Compare units within its frequent values.")
@click.option("--exclude-crossed", is_flag=True, help="Leave units that met two variants out of the metrics.")
@click.option("--hypothesis", default="", help="What you expect, and why.")
@click.option(
    "--stop-on-harm", is_flag=True, help="A harmed guardrail or wrong shares give all traffic to the control."
)
@connected
def create(
    client: Client,
    output: Output,
    model: str,
    experiment: str,
    success: tuple[pb.Experiment.Metric, ...],
    guardrail: tuple[pb.Experiment.Metric, ...],
    quality: tuple[pb.Experiment.Metric, ...],
    variant: tuple[tuple[str, float], ...],
    effect: float,
    margin: float,
    alpha: float,
    units: int,
    window: timedelta | None,
    before: timedelta | None,
    cap: tuple[tuple[str, float], ...],
    cap_quantile: tuple[tuple[str, float], ...],
    stratify_by: str,
    exclude_crossed: bool,
    hypothesis: str,
    stop_on_harm: bool,
) -> None:
    """Write EXPERIMENT of MODEL down. It is never changed afterwards: what was seen must not choose the question.

    Warns where the model's traffic of the last 14 days needs more than six weeks to find the effect.

    \b
    Examples:
      headrace experiments create shop ranking --metric conversion --guardrail=-error --margin 0.05
      headrace experiments create shop ranking --variant control=80 --variant new=20 --metric reward:mean --before 14d
    """
    wanted = pb.Experiment(
        name=f"models/{model}/experiments/{experiment}",
        hypothesis=hypothesis,
        alpha=alpha,
        planned_units=units,
        stop_on_harm=stop_on_harm,
        stratify_by=stratify_by,
        exclude_crossed=exclude_crossed,
    )
    weights = variant or tuple((one.name, one.weight) for one in client.routes.get(model).route.variants if one.weight)
    wanted.variants.extend(pb.Experiment.Variant(name=name, weight=weight) for name, weight in weights)
    roles = ((success, 1), (guardrail, 2), (quality, 3))
    for given, role in roles:
        for metric in given:
            wanted.metrics.add(relative_effect=effect, margin=margin, role=role).MergeFrom(metric)
    _bound(wanted, "cap", dict(cap))
    _bound(wanted, "cap_quantile", dict(cap_quantile))
    for duration, field in ((window, wanted.attribution_window), (before, wanted.covariate_window)):
        if duration is not None:
            field.FromTimedelta(duration)
    created = client.experiments.create(wanted)
    _show_changed(output, created, f"is written down; `headrace experiments start {model} {experiment}`")
    warn_of_long(client, output, model, created)


@experiments.command("list")
@model_argument
@connected
def list_(client: Client, output: Output, model: str) -> None:
    """List the experiments of MODEL, the latest first.

    \b
    Examples:
      headrace experiments list shop
    """
    found = client.experiments.list(model)
    if output.as_json:
        output.document({"experiments": [message_json(one) for one in found]})
    elif not found:
        output.say("no experiments; write one down: headrace experiments create --help")
    else:
        output.table(("experiment", "state", "variants", "started", "ended", "by"), [row_of(one) for one in found])


@experiments.command()
@model_argument
@experiment_argument
@connected
def start(client: Client, output: Output, model: str, experiment: str) -> None:
    """Give the variants of EXPERIMENT their shares of the traffic that they have together, and count units from now on.

    The experiment then manages the route: others change it only with --force until `conclude` or `end`.

    \b
    Examples:
      headrace experiments start shop ranking
    """
    client.experiments.run(model, experiment)
    _show_changed(
        output,
        client.experiments.get(model, experiment),
        f"runs; `headrace experiments watch {model} {experiment}` follows it",
    )


@experiments.command()
@model_argument
@experiment_argument
@click.argument("weights", metavar="NAME=WEIGHT...", type=NumberPair(), nargs=-1, required=True)
@connected
def shares(client: Client, output: Output, model: str, experiment: str, weights: tuple[tuple[str, float], ...]) -> None:
    """Give the variants of EXPERIMENT other shares from now on, as in a ramp: on the route and in the analysis.

    \b
    Examples:
      headrace experiments shares shop ranking control=50 new=50
    """
    moved = client.experiments.run(model, experiment, dict(weights))
    changed = client.experiments.get(model, experiment)
    _show_changed(output, changed, f"has other shares from now on; {moved:.1%} of the units have another variant")


@experiments.command()
@model_argument
@experiment_argument
@click.option("--by", "slice_by", metavar="ATTRIBUTE", default="", help="Besides by each of its frequent values.")
@connected
def analyse(client: Client, output: Output, model: str, experiment: str, slice_by: str) -> None:
    """Say what the data of EXPERIMENT say now.

    \b
    Examples:
      headrace experiments analyse shop ranking
      headrace experiments analyse shop ranking --by country --json
    """
    found = client.experiments.analyse(model, experiment, slice_by=slice_by)
    if output.as_json:
        output.document(message_json(found))
    else:
        show_analysis(output, found)


@experiments.command()
@model_argument
@experiment_argument
@click.option("--reason", default="", help="Why; recorded in the history.")
@connected
def end(client: Client, output: Output, model: str, experiment: str, reason: str) -> None:
    """Assign no more units to EXPERIMENT, and leave the route as it is. `conclude` gives its traffic back as well.

    \b
    Examples:
      headrace experiments end shop ranking --reason "new is better"
    """
    client.experiments.conclude(model, experiment, reason=reason, keep_route=True)
    _show_changed(output, client.experiments.get(model, experiment), "has ended; the route is as it was, and anybody's")


def _bound(wanted: pb.Experiment, field: str, given: dict[str, float]) -> None:
    for metric in wanted.metrics:
        setattr(metric, field, given.pop(metric.name, 0.0))
    if given:
        option = "--" + field.replace("_", "-")
        raise click.UsageError(f"{option}: the experiment has no metric {', '.join(given)}")


def _show_changed(output: Output, experiment: pb.Experiment, what: str) -> None:
    if output.as_json:
        output.document(message_json(experiment))
    else:
        output.say(f"[bold]{shown(last(experiment.name))}[/] {what}")
