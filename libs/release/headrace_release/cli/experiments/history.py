"""`headrace experiments history` and `report`: how an effect has come about."""

from __future__ import annotations

from pathlib import Path

import click
from headrace.monitor.v1 import experiment_pb2 as pb
from headrace_client.cli.options import connected, model_argument
from headrace_client.cli.output import Output, message_json, shown, when, write_page
from headrace_client.client import Client

from headrace_release.cli.experiments.conclusion import experiment_argument
from headrace_release.cli.experiments.views import interval_bar


@click.command()
@model_argument
@experiment_argument
@connected
def history(client: Client, output: Output, model: str, experiment: str) -> None:
    """Show what the units of EXPERIMENT say that came by each of up to 30 times.

    \b
    Examples:
      headrace experiments history shop ranking
      headrace experiments history shop ranking --json
    """
    found = client.experiments.history(model, experiment)
    if output.as_json:
        output.document(message_json(found))
        return
    output.table(
        ("until", "units", "metric", "variant", "effect", "-30 % to +30 %", "interval at every look"),
        [row for point in found.points for row in _rows(point)],
    )


@click.command()
@model_argument
@experiment_argument
@click.option(
    *("--html", "file"),
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.",
)
@connected
def report(client: Client, output: Output, model: str, experiment: str, file: Path) -> None:
    """Write a page about EXPERIMENT that needs nothing else: effects over time, units, every metric.

    \b
    Examples:
      headrace experiments report shop ranking --html ranking.html
    """
    write_page(file, client.experiments.render_report(model, experiment))
    if output.as_json:
        output.document({"file": str(file)})
    else:
        output.say(f"wrote {shown(str(file))}; open it in a browser")


def _rows(point: pb.GetExperimentHistoryResponse.Point) -> list[tuple[str, ...]]:
    units = sum(one.units for one in point.assigned)
    return [
        (
            *(when(point.time), f"{units:,}", shown(one.metric), shown(one.variant)),
            f"{one.relative:+.1%}" if one.HasField("relative") else "",
            interval_bar(one),
            f"{one.relative_low:+.1%} to {one.relative_high:+.1%}" if _bounded(one) else "",
        )
        for one in point.results
    ]


def _bounded(one: pb.AnalyseExperimentResponse.Result) -> bool:
    return one.HasField("relative_low") and one.HasField("relative_high")
