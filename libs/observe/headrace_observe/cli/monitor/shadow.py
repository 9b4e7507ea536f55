"""`headrace monitor shadow`: how answers differ from those that a shadow gave to the same requests."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
import grpc
from headrace.monitor.v1 import monitor_pb2
from headrace_client.cli.options import connected, model_argument, span_options
from headrace_client.cli.output import Output, message_json, number, shown
from headrace_client.client import Client

from headrace_observe.cli.monitor.report import write_page
from headrace_observe.cli.monitor.words import micros

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
_SLICES, _WORST = 10, 5


@click.command()
@model_argument
@click.argument("shadow_version", default="")
@click.option(
    "--html",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write a page to, with a picture.",
)
@span_options("a day before the end")
@connected
def shadow(
    client: Client,
    output: Output,
    model: str,
    shadow_version: str,
    file: Path | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Compare answers of MODEL with those of SHADOW_VERSION, or of every shadow, to the same requests.

    \b
    Examples:
      headrace monitor shadow digits v3
      headrace monitor shadow digits v3 --since 7d --html shadow.html
    """
    report = client.monitor.shadow_report(model, shadow_version, start=since, end=until)
    if file is not None:
        write_page(file, client.monitor.render_shadow_report(model, shadow_version, start=since, end=until))
    if output.as_json:
        output.document(message_json(report))
        return
    if not report.comparisons:
        output.say(f"nothing of {shown(model)} was compared in that time; its route needs a `shadowing`")
    for one in report.comparisons:
        _show(output, one)
    if file is not None:
        output.say(f"wrote {shown(str(file))}; open it in a browser")


def _show(output: Output, one: monitor_pb2.ShadowComparison) -> None:
    output.say(f"[bold]{shown(one.version)}[/] beside its shadow [bold]{shown(one.shadow_version)}[/]")
    output.table(("what", "value"), list(_facts(one)))
    slices = [one for one in one.slices if one.rows][:_SLICES]
    if slices:
        rows = [(shown(s.name), f"{s.rows:,}", f"{s.flips:,}", f"{s.flips / s.rows:.2%}") for s in slices]
        output.table(("attribute", "rows", "differ", "share"), rows)
    if one.worst:
        rows = [
            (shown(row.prediction_id), str(row.row), shown(row.answer), shown(row.shadow_answer))
            for row in one.worst[:_WORST]
        ]
        output.table(("prediction", "row", "answer", "shadow"), rows)


def _facts(one: monitor_pb2.ShadowComparison) -> list[tuple[str, str]]:
    facts = [("requests, rows", f"{one.pairs:,}, {one.rows:,}")]
    if one.labelled_rows:
        share = f"{one.flips / one.labelled_rows:.3%} (95 %: {one.flip_rate_low:.3%} to {one.flip_rate_high:.3%})"
        facts.append(("labels that differ", f"{one.flips:,} of {one.labelled_rows:,}, {share}"))
    if one.nan_rows:
        facts.append(("NaN of the shadow alone", f"[red]{one.nan_rows:,} rows[/]"))
    if one.HasField("difference"):
        for name, quantiles in (("difference", one.difference), ("relative difference", one.relative_difference)):
            facts.append(
                (
                    f"{name}, p50 p95 p99",
                    "  ".join(number(value) for value in (quantiles.p50, quantiles.p95, quantiles.p99)),
                )
            )
        facts.append(("largest difference", number(one.largest_difference)))
    if one.HasField("rank_correlation"):
        facts.append(("rank correlation", f"{one.rank_correlation:.4f}"))
    for name, took in (("took, p50 p95 p99", one.took_us), ("shadow took, p50 p95 p99", one.shadow_took_us)):
        facts.append((name, "  ".join(micros(value) for value in (took.p50, took.p95, took.p99))))
    for code, count in sorted(one.errors.items()):
        facts.append((f"errors {_CODES.get(code, str(code))}", f"[red]{count:,}[/]"))
    if one.unlike:
        facts.append(("nothing in common", f"{one.unlike:,} requests"))
    return facts
