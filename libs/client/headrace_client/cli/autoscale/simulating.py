"""`headrace autoscale simulate`: policies side by side on a trace, by the code that decides for real."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import click
from headrace_scaling import documents
from headrace_scaling.decisions.policies import PoolPolicy, violations
from headrace_scaling.simulation import lineup, traces
from headrace_scaling.simulation.deciders import Decider, PolicyDecider
from headrace_scaling.simulation.picture import draw
from headrace_scaling.simulation.running import Outcome
from headrace_scaling.simulation.service_curves import ServiceCurve
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import Trace

from headrace_client.cli.autoscale.trace_files import log_trace, read_trace
from headrace_client.cli.monitor.words import span_options
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, shown
from headrace_client.cli.parsing import Duration
from headrace_client.client import Client
from headrace_client.errors import invalid
from headrace_client.local_files import text_of

_SHAPES = ", ".join(traces.SHAPES)


@click.command()
@click.argument("trace", metavar="[TRACE]", required=False)
@click.option("--log", "models", multiple=True, metavar="MODEL", help="Take the prediction log of a model; repeat.")
@span_options("everything that the log has")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help=f"{', '.join(lineup.NAMES)}, fixed-N, or a policy's JSON file; repeat. Default all but fixed-N.",
)
@click.option("--target", type=click.FloatRange(0, min_open=True), help="Requests/s that a named policy aims at.")
@click.option("--max-replicas", type=click.IntRange(1), default=20, show_default=True, help="Most of a named policy.")
@click.option(
    "--capacity",
    type=click.FloatRange(0, min_open=True),
    default=500.0,
    show_default=True,
    help="Requests/s of a replica; --curve says it better.",
)
@click.option("--curve", help="Measured batch times by rows, such as 1=4ms,8=9ms,32=30ms.")
@click.option(
    "--slo", type=Duration(), default=timedelta(milliseconds=100), show_default="100ms", help="The objective."
)
@click.option("--deadline", type=Duration(), default=timedelta(seconds=1), show_default="1s", help="Of a request.")
@click.option(
    "--load-time", "load_times", type=Duration(), multiple=True, help="A measured cold start; repeat. Default 45s."
)
@click.option("--start-failures", type=click.FloatRange(0, 0.99), default=0.0, help="Share of starts that fail.")
@click.option("--mtbf", type=Duration(), help="Mean time between failures of a replica.")
@click.option("--price", type=click.FloatRange(0), default=3.0, show_default=True, help="Of a replica-hour.")
@click.option("--replicas", type=click.IntRange(0), default=2, show_default=True, help="There are at the beginning.")
@click.option("--skip", type=Duration(), help="Of the beginning: give it to the policies as history only.")
@click.option("--seconds", type=click.IntRange(60, 2_000_000), help="Length of a generated trace.")
@click.option("--low", type=click.FloatRange(0), help="Requests/s of a generated trace when it is quiet.")
@click.option("--high", type=click.FloatRange(0), help="Requests/s of a generated trace at its peaks.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of everything random.")
@click.option(
    "--picture", metavar="FILE.svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw the course, as SVG."
)
@connected
def simulate(client: Client, output: Output, trace: str | None, **given: Any) -> None:
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
    course, skip_s = _trace(client, output, trace, given)
    setup = _setup(given)
    names: tuple[str, ...] = given["policies"] or lineup.NAMES
    deciders = {_called(name): _decider(name, setup, given) for name in names}
    with output.counting("simulating") as report:
        try:
            outcomes = lineup.compare(course, setup, deciders, skip_s=skip_s, progress=report)
        except ValueError as error:
            raise invalid("--skip", str(error)) from error
    _, capacity = setup.curve.best(setup.slo_s)
    picture: Path | None = given["picture"]
    if picture is not None:
        try:
            picture.write_text(draw(f"{course.name}: {outcomes[0].seconds / 3600:,.3g} h", outcomes, capacity))
        except OSError as error:
            raise invalid("--picture", f"cannot write {picture}: {error.strerror}") from error
    show(output, course, outcomes, capacity)
    if picture is not None:
        output.say(f"drew {shown(str(picture))}")


def show(output: Output, course: Trace, outcomes: tuple[Outcome, ...], capacity: float) -> None:
    """Print the outcomes as a table, or as the document of --json."""
    if output.as_json:
        plain = [
            {one.name: getattr(outcome, one.name) for one in fields(outcome) if one.name != "series"}
            | {"violations": outcome.violations}
            for outcome in outcomes
        ]
        output.document({"trace": course.name, "requests_per_s_of_a_replica": capacity, "outcomes": plain})
        return
    hours = outcomes[0].seconds / 3600
    output.say(
        f"{shown(course.name)}: {outcomes[0].requests:,.0f} requests in {hours:,.4g} h; "
        f"a replica serves {capacity:,.4g}/s in time"
    )
    header = ("policy", "late or shed", "late", "shed", "replica-hours", "cost", "changes", "turns", "most", "p99 wait")
    output.rows(header, [_row(outcome) for outcome in outcomes])
    output.note(f"[dim]by headrace-scaling {installed_version('headrace-scaling')}[/]")


def _row(outcome: Outcome) -> tuple[str, ...]:
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


def _trace(client: Client, output: Output, trace: str | None, given: dict[str, Any]) -> tuple[Trace, int]:
    """Return the trace and how much of its beginning is history."""
    models: tuple[str, ...] = given["models"]
    since: datetime | None = given["since"]
    skip: timedelta | None = given["skip"]
    skip_s = 0 if skip is None else int(skip.total_seconds())
    if (trace is None) == (not models):
        raise click.UsageError(f"give a TRACE (a file, or one of {_SHAPES}) or --log MODEL")
    if trace is None:
        with output.waiting("reading the log"):
            return log_trace(client, models, since, given["until"]), skip_s
    if trace not in traces.SHAPES:
        return read_trace(Path(trace)), skip_s
    days = {"surges": 5, "diurnal": 2}.get(trace)
    seconds: int = given["seconds"] or (3_600 if days is None else days * traces.DAY_S)
    low: float = given["low"] or (1000.0 if trace == "surges" else 500.0)
    high: float = given["high"] or (8000.0 if trace == "surges" else 6000.0)
    if high < low:
        raise invalid("--high", "must not be below --low")
    if trace == "surges" and skip is None and seconds > 4 * traces.DAY_S:
        skip_s = seconds - 2 * traces.DAY_S
    return traces.generated(trace, seconds=seconds, low=low, high=high, seed=given["seed"]), skip_s


def _setup(given: dict[str, Any]) -> Setup:
    load_times: tuple[timedelta, ...] = given["load_times"]
    mtbf: timedelta | None = given["mtbf"]
    curve = ServiceCurve.of_throughput(given["capacity"]) if given["curve"] is None else curve_of(given["curve"])
    try:
        return Setup(
            curve=curve,
            slo_s=given["slo"].total_seconds(),
            deadline_s=given["deadline"].total_seconds(),
            load_times_s=tuple(time.total_seconds() for time in load_times) or (45.0,),
            start_failure=given["start_failures"],
            hours_between_failures=None if mtbf is None else mtbf.total_seconds() / 3600.0,
            price_per_replica_hour=given["price"],
            initial_replicas=given["replicas"],
            seed=given["seed"],
        )
    except ValueError as error:
        raise invalid("--slo", str(error)) from error


def curve_of(text: str) -> ServiceCurve:
    """Return the curve that `1=4ms,8=9ms` says. Raises InvalidArgument."""
    points: list[tuple[int, float]] = []
    for part in text.split(","):
        rows, _, time = part.strip().partition("=")
        duration = Duration().convert(time, None, None) if time else None
        if not (rows.isdecimal() and rows.isascii()) or duration is None:
            raise invalid("--curve", f"{part!r} is not ROWS=TIME, such as 8=9ms")
        points.append((int(rows), duration.total_seconds()))
    try:
        return ServiceCurve.of(points)
    except ValueError as error:
        raise invalid("--curve", str(error)) from error


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


def policy_of(path: Path) -> PoolPolicy:
    """Return the policy of a JSON file. Raises InvalidArgument, which names the field."""
    try:
        policy = documents.from_json(PoolPolicy, text_of(path, "--policy", "a policy in JSON"))
    except ValueError as error:
        raise invalid("--policy", f"{path}: {error}") from error
    if wrong := violations(policy):
        raise invalid("--policy", "; ".join(f"{one.field} {one.message}" for one in wrong))
    return policy
