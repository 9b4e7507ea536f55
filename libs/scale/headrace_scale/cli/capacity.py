"""`headrace capacity`: the arithmetic of a plan, from numbers or from what is measured."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from headrace.router.v1 import predict_pb2
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, number
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.errors import PreconditionFailed, invalid
from headrace_scaling.capacity import Needs, example, plan
from headrace_scaling.simulation.service_curves import ServiceCurve

from headrace_scale.cli.autoscale.pool_options import curve_of, throughput_of

_COUNT = re.compile(r"(\d+(?:\.\d+)?)([kMG]?)", re.ASCII)
_SIZES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


class Count(click.ParamType):
    """`200M`, `1.5k`, `7000`."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _COUNT.fullmatch(str(value))
        if match is None:
            self.fail(f"'{value}' is no count; write a number, and k, M or G", param, ctx)
        return float(match[1]) * _SIZES[match[2]]


@click.command()
@click.option("--daily", type=Count(), help="Requests a day, such as 200M.")
@click.option("--qps", type=Count(), help="Requests/s at peak, in the place of --daily.")
@click.option("--peak-factor", type=click.FloatRange(1), help="The peak beside the average; default 3.")
@click.option("--cache-share", type=click.FloatRange(0, 1, max_open=True), help="Share answered from memory.")
@click.option("--capacity", type=Count(), help="Requests/s of a replica; --curve says it better. Default 500.")
@click.option("--curve", help="Measured batch times by rows, such as 1=4ms,8=9ms,32=30ms.")
@click.option("--slo", type=Duration(), help="What an answer may take; default 100ms.")
@click.option("--headroom", type=click.FloatRange(0), help="Beyond the peak; default 0.3.")
@click.option("--utilisation", type=click.FloatRange(0, 1), help="That replicas should have on average.")
@click.option("--replicas", type=click.IntRange(1), help="Planned: say whether they are enough.")
@click.option("--price", type=click.FloatRange(0), help="Of a replica-hour; default 3.")
@click.option("--bulk", type=Count(), help="Records scored in bulk each day, such as 50M.")
@click.option("--bulk-window", type=Duration(), help="In which they must be done; default 4h.")
@click.option("--record-time", type=Duration(), help="Of one record alone, where that was measured.")
@click.option("--bulk-replicas", type=click.IntRange(1), help="Planned for them.")
@click.option("--log-bytes", type=Count(), help="Of a logged prediction; default 400.")
@click.option("--log-days", type=click.FloatRange(0), help="Retention of the log; default 30.")
@click.option("--measure", "models", multiple=True, metavar="MODEL", help="Measure traffic and batchers; repeat.")
@click.option("--pool", default="", help="Whose batchers --measure asks; default all.")
@click.option("--example", "as_example", is_flag=True, help="The estimate that many a platform starts from.")
@connected
def capacity(
    client: Client, output: Output, models: tuple[str, ...], pool: str, as_example: bool, **given: Any
) -> None:
    """Show how many replicas a load needs, with every step of the arithmetic and what is wrong with a plan.

    --measure takes the day's requests, the busiest hour and the share from memory from the monitor, and what a
    replica serves from its batchers; options that are given come before what is measured.

    \b
    Examples:
      headrace capacity --daily 200M --capacity 500
      headrace capacity --qps 10k --cache-share 0.8 --capacity 500 --replicas 4
      headrace capacity --daily 200M --curve 1=5ms,8=9ms,32=30ms --bulk 50M --record-time 5ms
      headrace capacity --measure digits --measure fraud --headroom 0.5
      headrace capacity --example --json
    """
    needs = example() if as_example else None
    if models:
        with output.waiting("measuring"):
            needs = measured(client, models, pool)
    lines = plan(_with(needs, given))
    if output.as_json:
        output.document({"lines": [dataclasses.asdict(line) for line in lines]})
        return
    rows = [(one.name, _shown(one.value), one.unit, one.formula, f"[yellow]{one.remark}[/]") for one in lines]
    output.rows(("what", "value", "unit", "how", "remark"), rows)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else number(value)


def _with(needs: Needs | None, given: dict[str, Any]) -> Needs:
    """Return the needs that options say, over those that were measured."""
    changes: dict[str, Any] = {
        "daily_requests": given["daily"],
        "peak_factor": given["peak_factor"],
        "cache_share": given["cache_share"],
        "slo_s": _seconds(given["slo"]),
        "headroom": given["headroom"],
        "target_utilisation": given["utilisation"],
        "price_per_replica_hour": given["price"],
        "replicas": given["replicas"],
        "bulk_records": given["bulk"],
        "bulk_window_h": None if given["bulk_window"] is None else given["bulk_window"] / timedelta(hours=1),
        "record_s": _seconds(given["record_time"]),
        "bulk_replicas": given["bulk_replicas"],
        "log_bytes": given["log_bytes"],
        "log_days": given["log_days"],
    }
    if given["curve"] is not None:
        changes["curve"] = curve_of(given["curve"])
    elif given["capacity"] is not None:
        changes["curve"] = throughput_of(given["capacity"])
    if given["qps"] is not None:
        factor = given["peak_factor"] or (needs.peak_factor if needs else 3.0)
        changes["daily_requests"] = given["qps"] / factor * 86_400
    changes = {name: value for name, value in changes.items() if value is not None}
    if needs is None and "daily_requests" not in changes:
        raise click.UsageError("give --daily, --qps, --measure MODEL or --example")
    try:
        return Needs(**changes) if needs is None else dataclasses.replace(needs, **changes)
    except ValueError as error:
        raise invalid("capacity", str(error)) from error


def measured(client: Client, models: tuple[str, ...], pool: str) -> Needs:
    """Return what the last day asked for, by the monitor's counters, and what replicas served, by their batchers."""
    end = datetime.now(UTC)
    by_hour = [0.0] * 24
    online = 0.0
    for model in models:
        for hour in range(24):
            report = client.monitor.traffic(
                model, start=end - timedelta(hours=24 - hour), end=end - timedelta(hours=23 - hour)
            )
            by_hour[hour] += sum(one.count for one in report.traffic)
            online += sum(one.count for one in report.traffic if one.served_from in _ONLINE)
    total = sum(by_hour)
    if not total:
        raise PreconditionFailed(f"nothing was asked of {', '.join(models)} in the last day", reason="NO_TRAFFIC")
    answered = busy_s = 0.0
    batchers = client.routes.list_batchers(pool)
    for version in (version for batcher in batchers for version in batcher.versions if version.model in models):
        answered += version.load.answered_requests
        busy_s += version.load.compute.ToTimedelta().total_seconds()
    if not answered or not busy_s:
        raise PreconditionFailed(
            f"no batcher has executed anything of {', '.join(models)}: give --capacity or --curve with --daily",
            reason="NO_EXECUTIONS",
        )
    return Needs(
        daily_requests=total,
        peak_factor=max(1.0, max(by_hour) * 24 / total),
        cache_share=min(0.999, max(0.0, 1.0 - online / total)),
        curve=ServiceCurve.of_throughput(answered / busy_s, batch_s=0.001),
        replicas=len({batcher.process for batcher in batchers if not batcher.draining}) or None,
    )


_ONLINE = (
    predict_pb2.PredictResponse.SERVED_FROM_ONLINE,
    # Errors were asked of a replica too.
    predict_pb2.PredictResponse.SERVED_FROM_UNSPECIFIED,
)


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
