"""`headrace autoscale simulate`: policies side by side on a trace, by the code that decides for real."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import click
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, shown
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.errors import invalid
from headrace_scaling.simulation import lineup, traces
from headrace_scaling.simulation.deciders import Decider, PolicyDecider
from headrace_scaling.simulation.picture import draw
from headrace_scaling.simulation.run import Outcome
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import Trace

from headrace_scale.cli.autoscale.pool_options import policy_of, pool_options, setup_of, trace_of


@click.command()
@pool_options
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help=f"{', '.join(lineup.NAMES)}, fixed-N, or a policy's JSON file; repeat. Default all but fixed-N.",
)
@click.option("--target", type=click.FloatRange(0, min_open=True), help="Requests/s that a named policy aims at.")
@click.option("--replicas", type=click.IntRange(0), default=2, show_default=True, help="There are at the beginning.")
@click.option("--skip", type=Duration(), help="Of the beginning: give it to the policies as history only.")
@click.option(
    "--picture", metavar="FILE.svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw the course, as SVG."
)
@connected
def simulate(
    client: Client,
    output: Output,
    trace: str | None,
    replicas: int,
    policies: tuple[str, ...],
    skip: timedelta | None,
    picture: Path | None,
    **given: Any,
) -> None:
    """Show what policies make of TRACE: requests that break the objective, replica-hours, money, changes.

    TRACE is a file or a shape. A file is CSV (requests of each second, or a time and the requests since the one
    before) or Parquet (columns time and requests). A shape is generated: surges (three days of history, then two
    days with surges at the same minutes of every hour), step, ramp, spikes, flash, diurnal. Nothing is sent anywhere,
    except with --log.

    \b
    Examples:
      headrace autoscale simulate surges
      headrace autoscale simulate step --load-time 20s --load-time 60s --policy headrace --policy knative
      headrace autoscale simulate trace.csv --curve 1=4ms,8=9ms,32=30ms --policy mine.json --picture trace.svg
      headrace autoscale simulate --log digits --since 14d --skip 7d --target 350 --json
    """
    course = trace_of(client, output, trace, given)
    setup = setup_of(given, replicas=replicas)
    deciders = {_called(name): _decider(name, setup, given) for name in policies or lineup.NAMES}
    with output.counting("simulating") as report:
        try:
            outcomes = lineup.compare(course, setup, deciders, skip_s=_skip_s(course, skip), progress=report)
        except ValueError as error:
            raise invalid("--skip", str(error)) from error
    _, capacity = setup.curve.best(setup.slo_s)
    if picture is not None:
        try:
            picture.write_text(draw(f"{course.name}: {outcomes[0].seconds / 3600:,.3g} h", outcomes, capacity))
        except OSError as error:
            raise invalid("--picture", f"cannot write {picture}: {error.strerror}") from error
    if output.as_json:
        plain = [outcome_json(outcome) for outcome in outcomes]
        output.document({"trace": course.name, "requests_per_s_of_a_replica": capacity, "outcomes": plain})
        return
    output.say(
        f"{shown(course.name)}: {outcomes[0].requests:,.0f} requests in {outcomes[0].seconds / 3600:,.4g} h; "
        f"a replica serves {capacity:,.4g}/s in time"
    )
    output.rows(OUTCOME_COLUMNS, [outcome_row(outcome) for outcome in outcomes])
    output.note(f"[dim]by headrace-scaling {installed_version('headrace-scaling')}[/]")
    if picture is not None:
        output.say(f"drew {shown(str(picture))}")


OUTCOME_COLUMNS = (
    *("policy", "late or shed", "late", "shed", "replica-hours", "cost", "changes", "turns", "most", "p99 wait"),
)


def outcome_row(outcome: Outcome) -> tuple[str, ...]:
    """Return an outcome as a row under `OUTCOME_COLUMNS`."""
    requests = outcome.requests or 1.0
    return (
        shown(outcome.name),
        f"{outcome.violations:.3%}",
        f"{outcome.late / requests:.3%}",
        f"{outcome.shed / requests:.3%}",
        f"{outcome.replica_hours:,.1f}",
        f"{outcome.cost:,.0f}",
        f"{outcome.changes:,}",
        f"{outcome.turns:,}",
        f"{outcome.most_replicas}",
        f"{outcome.wait_p99_s * 1000:,.0f} ms",
    )


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome without its course."""
    plain = {one.name: getattr(outcome, one.name) for one in fields(outcome) if one.name != "series"}
    return plain | {"violations": outcome.violations}


def _skip_s(course: Trace, skip: timedelta | None) -> int:
    if skip is not None:
        return int(skip.total_seconds())
    # Surges show what a history is worth: all but the last two days are one.
    return course.seconds - 2 * traces.DAY_S if course.name == "surges" and course.seconds > 4 * traces.DAY_S else 0


def _called(name: str) -> str:
    return Path(name).stem if name.endswith(".json") else name


def _decider(name: str, setup: Setup, given: dict[str, Any]) -> Callable[[], Decider]:
    if name.endswith(".json"):
        policy = policy_of(Path(name))
        return lambda: PolicyDecider(policy)

    def make() -> Decider:
        return lineup.named(name, setup, most=given["max_replicas"], target=given["target"])

    try:
        make()
    except ValueError as error:
        raise invalid("--policy", f"{error}, or a file that ends in .json") from error
    return make
