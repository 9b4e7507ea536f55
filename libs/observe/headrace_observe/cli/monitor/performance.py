"""`headrace monitor performance`: how good predictions were, as far as outcomes are known."""

from __future__ import annotations

from datetime import datetime

import click
from headrace.monitor.v1 import monitor_pb2
from headrace_client.cli.options import complete_version, connected, model_argument, span_options
from headrace_client.cli.output import Output, message_json, number, shown
from headrace_client.client import Client

from headrace_observe.cli.monitor.words import SEVERITIES, value_text


@click.command()
@model_argument
@click.option("--version", default="", shell_complete=complete_version, help="Only this version; default each.")
@span_options("an hour before the end")
@click.option("--slice-by", default="", metavar="COLUMN", help="By the values of a categorical column or attribute.")
@click.option("--threshold", type=float, help="Score from which a binary prediction is positive; default 0.5.")
@connected
def performance(
    client: Client,
    output: Output,
    model: str,
    version: str,
    since: datetime | None,
    until: datetime | None,
    slice_by: str,
    threshold: float | None,
) -> None:
    """Show how good the predictions of a time were, whenever their outcomes came.

    Maturity is the share of predictions whose label is known. Intervals hold the true value with 95 %.

    \b
    Examples:
      headrace monitor performance digits --since 24h
      headrace monitor performance digits --version v2 --slice-by country --since 7d
      headrace monitor performance churn --threshold 0.8 --json
    """
    reports = client.monitor.performance(
        model, version=version, start=since, end=until, slice_by=slice_by, threshold=threshold
    )
    if output.as_json:
        output.document({"performance": [message_json(one) for one in reports]})
        return
    if not reports:
        output.say(
            f"no predictions of {shown(model)} in that time; more: --since 24h. Labels: headrace monitor outcomes "
            f"record {shown(model)} FILE"
        )
        return
    names = ("version", "variant", *((shown(slice_by),) if slice_by else ()))
    rows = [(*_heading(one, bool(slice_by)), *line) for one in reports for line in _measures(one)]
    output.table((*names, "labelled", "measure", "value", "95 % interval", "of"), _once(rows, len(names) + 1))
    watched = {one.version: one.concept_drift for one in reports if one.HasField("concept_drift")}
    if watched:
        output.say("\nconcept drift, by the labels that have come so far:")
        output.table(
            ("version", "severity", "what labels say"),
            [(shown(version), SEVERITIES[one.severity], shown(one.summary)) for version, one in watched.items()],
        )
    worse = [(shown(one.version), each) for one in reports for each in one.slices]
    if worse:
        output.say("\nwhere errors have become more than in the seven days before:")
        output.table(
            ("version", "slice", "rows", "by", "explains"),
            [
                (version, shown(each.name), f"{each.rows:,}", value_text(each.effect), f"{each.share:.0%}")
                for version, each in worse
            ],
        )


def _heading(one: monitor_pb2.Performance, sliced: bool) -> tuple[str, ...]:
    known = f"{one.labelled:,} of {one.predictions:,} ({one.maturity:.0%})"
    slices = (shown(one.slice) or "-",) if sliced else ()
    return (shown(one.version) or "-", shown(one.variant) or "-", *slices, known)


def _measures(one: monitor_pb2.Performance) -> list[tuple[str, ...]]:
    lines = []
    for measure in one.measures:
        whole = measure.HasField("lower") and measure.HasField("upper")
        value = value_text(measure.value) if measure.HasField("value") else ""
        note = f"[dim]{shown(measure.note)}[/]" if measure.note else ""
        lines.append(
            (
                shown(measure.name),
                " ".join(filter(None, (value, note))) or "-",
                f"{number(measure.lower)} to {number(measure.upper)}" if whole else "-",
                f"{measure.rows:,}",
            )
        )
    return lines or [("-", "-", "-", "-")]


def _once(rows: list[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Return rows whose first cells are not said again below themselves."""
    said: tuple[str, ...] = ()
    shortened = []
    for row in rows:
        shortened.append((*([""] * width if row[:width] == said else row[:width]), *row[width:]))
        said = row[:width]
    return shortened
