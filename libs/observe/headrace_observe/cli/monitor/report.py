"""`headrace monitor report`: a page to read or to send."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
from headrace_client.cli.options import connected, model_argument, span_options
from headrace_client.cli.output import Output, shown, write_page
from headrace_client.client import Client


@click.command()
@model_argument
@click.option(
    "--html",
    "file",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; `-` is stdout.",
)
@span_options("a day before the end")
@connected
def report(
    client: Client, output: Output, model: str, file: Path, since: datetime | None, until: datetime | None
) -> None:
    """Write traffic, drift, performance and alerts of MODEL as one HTML page that needs nothing else.

    \b
    Examples:
      headrace monitor report digits --html digits.html
      headrace monitor report digits --html digits.html --since 7d
    """
    if output.as_json and str(file) == "-":
        raise click.UsageError("stdout has the page or the document of --json: name a file")
    html = client.monitor.render_report(model, start=since, end=until)
    if str(file) == "-":
        click.echo(html)
        return
    write_page(file, html)
    if output.as_json:
        output.document({"file": str(file), "bytes": len(html.encode())})
    else:
        output.say(f"wrote {shown(str(file))}; open it in a browser")
