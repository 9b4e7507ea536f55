"""What the simulating commands have in common: the requests, the replicas that serve them, and policies in files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from headrace.autoscaler.v1 import planning_pb2
from headrace_client.cli.options import span_options
from headrace_client.cli.output import Output
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.errors import invalid
from headrace_client.local_files import text_of
from headrace_scaling import documents
from headrace_scaling.decisions.policies import PoolPolicy, violations
from headrace_scaling.simulation import traces
from headrace_scaling.simulation.service_curves import ServiceCurve
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import Trace

from headrace_scale.cli.autoscale.trace_files import log_trace, read_trace

Command = Callable[..., Any]

_OPTIONS = (
    click.argument("trace", metavar="[TRACE]", required=False),
    click.option("--log", "models", multiple=True, metavar="MODEL", help="Take the prediction log of a model; repeat."),
    span_options("everything that the log has"),
    click.option("--max-replicas", type=click.IntRange(1), default=20, show_default=True, help="Most that there are."),
    click.option(
        "--capacity",
        type=click.FloatRange(0, min_open=True),
        default=500.0,
        show_default=True,
        help="Requests/s of a replica; --curve says it better.",
    ),
    click.option("--curve", help="Measured batch times by rows, such as 1=4ms,8=9ms,32=30ms."),
    click.option(
        "--variation", type=click.FloatRange(0, 10), help="Of batch times: deviation / mean; default as measured, or 0."
    ),
    click.option("--slo", type=Duration(), default=timedelta(seconds=0.1), show_default="100ms", help="Objective."),
    click.option("--deadline", type=Duration(), default=timedelta(seconds=1), show_default="1s", help="Of a request."),
    click.option(
        "--load-time", "load_times", type=Duration(), multiple=True, help="A measured cold start; repeat. Default 45s."
    ),
    click.option("--start-failures", type=click.FloatRange(0, 0.99), default=0.0, help="Share of starts that fail."),
    click.option("--mtbf", type=Duration(), help="Mean time between failures of a replica."),
    click.option("--price", type=click.FloatRange(0), default=3.0, show_default=True, help="Of a replica-hour."),
    click.option("--seconds", type=click.IntRange(60, 2_000_000), help="Length of a generated trace."),
    click.option("--low", type=click.FloatRange(0), help="Requests/s of a generated trace when it is quiet."),
    click.option("--high", type=click.FloatRange(0), help="Requests/s of a generated trace at its peaks."),
    click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of everything random."),
)
# The options that the fields of a setup come from.
_SETUP_OPTIONS = {
    "variation": "--variation",
    "slo_s": "--slo",
    "load_times_s": "--load-time",
    "start_failure": "--start-failures",
    "hours_between_failures": "--mtbf",
    "initial_replicas": "--replicas",
}
# Lengths of generated traces, where an hour shows too little.
_DAYS = {"surges": 5, "diurnal": 2}


def pool_options(function: Command) -> Command:
    """Give a command TRACE and --log, and what a replica serves, costs and needs to start."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), function)


def trace_of(client: Client, output: Output, trace: str | None, given: dict[str, Any]) -> Trace:
    """Return the requests that the options name. Raises InvalidArgument."""
    models: tuple[str, ...] = given["models"]
    since: datetime | None = given["since"]
    if (trace is None) == (not models):
        shapes = ", ".join(traces.SHAPES)
        raise click.UsageError(f"give a TRACE (a file, or one of {shapes}) or --log MODEL")
    if trace is None:
        with output.waiting("reading the log"):
            return log_trace(client, models, since, given["until"])
    if trace not in traces.SHAPES:
        return read_trace(Path(trace))
    days = _DAYS.get(trace)
    seconds: int = given["seconds"] or (3_600 if days is None else days * traces.DAY_S)
    low, high = (1000.0, 8000.0) if trace == "surges" else (500.0, 6000.0)
    low = low if given["low"] is None else given["low"]
    high = high if given["high"] is None else given["high"]
    if high < low:
        raise invalid("--high", "must not be below --low")
    try:
        return traces.generated(trace, seconds=seconds, low=low, high=high, seed=given["seed"])
    except ValueError as error:
        raise invalid("--high", str(error)) from error


def setup_of(given: dict[str, Any], *, replicas: int) -> Setup:
    """Return the pool that the options describe. Raises InvalidArgument."""
    load_times: tuple[timedelta, ...] = given["load_times"]
    mtbf: timedelta | None = given["mtbf"]
    curve = throughput_of(given["capacity"]) if given["curve"] is None else curve_of(given["curve"])
    try:
        return Setup(
            curve=curve,
            variation=given["variation"] or 0.0,
            slo_s=given["slo"].total_seconds(),
            deadline_s=given["deadline"].total_seconds(),
            load_times_s=tuple(time.total_seconds() for time in load_times) or (45.0,),
            start_failure=given["start_failures"],
            hours_between_failures=None if mtbf is None else mtbf.total_seconds() / 3600.0,
            price_per_replica_hour=given["price"],
            initial_replicas=replicas,
            seed=given["seed"],
        )
    except ValueError as error:  # it begins with the field
        raise invalid(_SETUP_OPTIONS[str(error).partition(" ")[0]], str(error)) from error


def service_of(given: dict[str, Any], context: click.Context) -> planning_pb2.ServiceModel:
    """Return what the options say of replicas, for a service that measured the rest."""
    model = planning_pb2.ServiceModel(
        start_failure_share=given["start_failures"],
        price_per_replica_hour=given["price"],
        variation=given["variation"],
    )
    model.objective.FromTimedelta(given["slo"])
    for time in given["load_times"]:
        model.starts.add().FromTimedelta(time)
    if given["mtbf"] is not None:
        model.failures_per_hour = timedelta(hours=1) / given["mtbf"]
    if given["curve"] is not None:
        for rows, seconds in curve_of(given["curve"]).points:
            model.batch_times.add(rows=rows).compute.FromTimedelta(timedelta(seconds=seconds))
    elif context.get_parameter_source("capacity") is not ParameterSource.DEFAULT:
        model.replica_rps = given["capacity"]
    return model


def throughput_of(requests_per_s: float) -> ServiceCurve:
    """Return the curve of a replica of which only the throughput is given. Raises InvalidArgument."""
    try:
        return ServiceCurve.of_throughput(requests_per_s)
    except ValueError as error:
        raise invalid("--capacity", str(error)) from error


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


def policy_of(path: Path) -> PoolPolicy:
    """Return the policy of a JSON file. Raises InvalidArgument, which names the field."""
    try:
        policy = documents.from_json(PoolPolicy, text_of(path, "--policy", "a policy in JSON"))
    except ValueError as error:
        raise invalid("--policy", f"{path}: {error}") from error
    if wrong := violations(policy):
        raise invalid("--policy", "; ".join(f"{one.field} {one.message}" for one in wrong))
    return policy
