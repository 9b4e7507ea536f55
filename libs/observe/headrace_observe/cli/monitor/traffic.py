"""`headrace monitor traffic`: how much was answered, from where, and how fast."""

from __future__ import annotations

from datetime import datetime

import click
import grpc
from headrace.monitor.v1 import monitor_pb2
from headrace_client.cli.options import connected, model_argument, span_options
from headrace_client.cli.output import Output, message_json, shown, when
from headrace_client.client import Client
from headrace_client.operations.prediction import SERVED_FROM

from headrace_observe.cli.monitor.words import micros

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


@click.command()
@model_argument
@span_options("an hour before the end")
@click.option("--over-time", is_flag=True, help="Show when it was: requests, errors by blame, p50 and p99.")
@connected
def traffic(
    client: Client, output: Output, model: str, since: datetime | None, until: datetime | None, over_time: bool
) -> None:
    """Show what was answered for MODEL: by version, variant, source and code, with quantiles of the duration.

    Every answer is counted, whatever is sampled in the log.

    \b
    Examples:
      headrace monitor traffic digits
      headrace monitor traffic digits --since 24h
      headrace monitor traffic digits --since 24h --over-time
      headrace monitor traffic digits --since 2031-02-03T00:00:00Z --until 2031-02-04T00:00:00Z --json
    """
    if over_time:
        _show_over_time(output, client.monitor.traffic_time_series(model, start=since, end=until))
        return
    report = client.monitor.traffic(model, start=since, end=until)
    if output.as_json:
        output.document(message_json(report))
        return
    total = sum(one.count for one in report.traffic)
    if not total:
        output.say(f"no answers of {shown(model)} in that time; `headrace monitor traffic {shown(model)} --since 24h`")
    else:
        header = ("version", "variant", "answered", "code", "count", "share", "p50", "p95", "p99", "mean")
        output.table(header, [_line(one, total) for one in sorted(report.traffic, key=lambda one: -one.count)])
    if report.dropped_predictions or report.lost_batches:
        output.note(
            f"[yellow]not in the log[/]: {report.dropped_predictions:,} predictions that data planes dropped, "
            f"{report.lost_batches:,} batches that were lost (of all models)"
        )


def _show_over_time(output: Output, series: monitor_pb2.GetTrafficTimeSeriesResponse) -> None:
    if output.as_json:
        output.document(message_json(series))
        return
    header = ("from", "requests", "errors of the caller", "of the model", "of the platform", "p50", "p99")
    rows = [
        (
            when(part.range.start_time),
            *(f"{count:,}" for count in (part.requests, part.caller_errors, part.model_errors, part.platform_errors)),
            *(micros(value) for value in (part.p50_us, part.p99_us)),
        )
        for part in series.parts
        if part.requests
    ]
    if rows:
        output.table(header, rows)
    else:
        output.say("no requests in that time")


def _line(one: monitor_pb2.GetTrafficResponse.Traffic, total: int) -> tuple[str, ...]:
    source = str(SERVED_FROM.get(one.served_from, "-"))
    code = _CODES.get(one.code, str(one.code))
    return (
        shown(one.version) or "-",
        shown(one.variant) or "-",
        source,
        code if code == "OK" else f"[red]{code}[/]",
        f"{one.count:,}",
        f"{one.count / total:.1%}",
        *(micros(value) for value in (one.p50_us, one.p95_us, one.p99_us, one.mean_us)),
    )
