"""`headrace jobs submit`: queue a job, check it, or say what it would take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_client.cli.options import connected, model_argument, request_id_option
from headrace_client.cli.output import Output, message_json
from headrace_client.cli.values import Duration, Pair
from headrace_client.client import Client

from headrace_bulk.cli.job_progress import follow as follow_job
from headrace_bulk.cli.job_views import short_name, show_job

FORMATS = {
    "parquet": pb.ScoringSpec.Input.FORMAT_PARQUET,
    "csv": pb.ScoringSpec.Input.FORMAT_CSV,
    "jsonl": pb.ScoringSpec.Input.FORMAT_JSONL,
    "arrow": pb.ScoringSpec.Input.FORMAT_ARROW,
    "delta": pb.ScoringSpec.Input.FORMAT_DELTA,
}


@click.command()
@model_argument
@click.option("--input", "uri", default="", metavar="S3-URI", help="s3://BUCKET/PREFIX: every file below it.")
@click.option("--source", default="", help="In place of --input: a system that the scorer's operator declared.")
@click.option("--query", default="", metavar="SQL", help="With --source: what a database is asked.")
@click.option("--table", default="", metavar="NAMESPACE.TABLE", help="With --source: an Iceberg table.")
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), help="Default by the ending of the names.")
@click.option("--version", default="", help="Id of the version; default the one in production.")
@click.option("--alias", default="", help="Alias that names the version now.")
@click.option(
    "--tensor",
    "tensors",
    type=Pair(),
    multiple=True,
    help="NAME=COLUMN,COLUMN: what an input is made of; default the column of its name. Repeatable.",
)
@click.option("--derive", type=Pair(), multiple=True, help="COLUMN=SQL: computed before; repeatable.")
@click.option("--keep", multiple=True, help="Column of the input that the output has too; repeatable.")
@click.option("--column", "columns", type=Pair(), multiple=True, help="COLUMN=SQL of the output; repeatable.")
@click.option("--output", "output_uri", default="", metavar="S3-URI", help="Default the scorer's own bucket.")
@click.option("--batch-rows", type=click.IntRange(1), default=None, help="Rows at once; default by measuring.")
@click.option("--shard-rows", type=click.IntRange(1), default=None, help="Rows of a shard; default 250,000.")
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes that score.")
@click.option(
    "--pool",
    default=None,
    metavar="[POOL]",
    is_flag=False,
    flag_value="",
    help="Run the model on the batchers that answer callers, behind them; default by processes of the job's own.",
)
@click.option("--max-rejected-share", type=click.FloatRange(0, 1), help="More rejected rows fail it; default .01.")
@click.option("--window", type=Duration(), help="When it is to be over; an event says as soon as it will not be.")
@click.option("--publish", default="", metavar="COLUMN", help="Publish the results by the entities of this column.")
@click.option("--dry-run", is_flag=True, help="Check everything, and queue nothing.")
@click.option("--estimate", is_flag=True, help="Score a sample, say what the whole would take, and queue nothing.")
@click.option("--watch", "follow", is_flag=True, help="Follow it to its end; exit code 1 unless it succeeds.")
@request_id_option
@connected
def submit(
    client: Client,
    output: Output,
    model: str,
    dry_run: bool,
    estimate: bool,
    follow: bool,
    request_id: str,
    **how: Any,
) -> None:
    """Score what lies below a prefix, or rows of another system, with a version of MODEL.

    \b
    Examples:
      headrace jobs submit fraud --input s3://headrace-scoring/in --keep id
      headrace jobs submit fraud --input s3://lake/day=1 --tensor features=age,amount --column score="scores[1]"
      headrace jobs submit fraud --input s3://lake/day=1 --derive "amount_log=ln(1 + amount)" --dry-run
      headrace jobs submit fraud --source warehouse --query "select id, age, amount from customers" --keep id
    """
    if estimate:
        _show_estimate(output, client.jobs.estimate(model, _spec(**how)))
        return
    made = client.jobs.create(model, _spec(**how), request_id=request_id, validate_only=dry_run)
    if follow and not dry_run:
        follow_job(client, output, made.name, None)
    elif output.as_json:
        output.document(message_json(made))
    elif dry_run:
        show_job(output, made)
    else:
        output.say(f"[bold]{short_name(made)}[/] waits; `headrace jobs watch {short_name(made)}` follows it")


def _spec(
    *,
    uri: str,
    source: str,
    query: str,
    table: str,
    format_: str | None,
    version: str,
    alias: str,
    tensors: tuple[tuple[str, str], ...],
    derive: tuple[tuple[str, str], ...],
    keep: tuple[str, ...],
    columns: tuple[tuple[str, str], ...],
    output_uri: str,
    batch_rows: int | None,
    shard_rows: int | None,
    workers: int | None,
    pool: str | None,
    max_rejected_share: float | None,
    window: timedelta | None,
    publish: str,
) -> pb.ScoringSpec:
    """Return the job that the options of `submit` say."""
    if bool(uri) == bool(source or query or table):
        raise click.UsageError("give --input, or --source with --query or --table")
    named = pb.ScoringSpec.Input(uri=uri)
    if not uri:
        named.source.CopyFrom(pb.ScoringSpec.Source(source=source, query=query, table=table))
    if format_ is not None:
        named.format = FORMATS[format_]
    options = pb.ScoringOptions(
        batch_rows=batch_rows or 0,
        shard_rows=shard_rows or 0,
        workers=workers or 0,
        engine=pb.ScoringOptions.ENGINE_UNSPECIFIED if pool is None else pb.ScoringOptions.ENGINE_POOL,
        pool=pool or "",
        max_rejected_share=max_rejected_share,
    )
    if window is not None:
        options.window.FromTimedelta(window)
    return pb.ScoringSpec(
        version=version,
        alias=alias,
        input=named,
        derived_columns=[pb.ScoringSpec.ColumnExpression(column=name, expression=sql) for name, sql in derive],
        tensors=[pb.ScoringSpec.TensorColumns(tensor=name, columns=of.split(",")) for name, of in tensors],
        keep_columns=keep,
        output_columns=[pb.ScoringSpec.ColumnExpression(column=name, expression=sql) for name, sql in columns],
        output=pb.ScoringSpec.Output(uri=output_uri),
        options=options,
        publishing=pb.Publishing(entity_column=publish) if publish else None,
    )


def _show_estimate(output: Output, found: pb.EstimateScoringJobResponse) -> None:
    if output.as_json:
        output.document(message_json(found))
        return
    fits = {True: "[green]yes[/]", False: "[bold red]no[/]", None: ""}
    output.facts(
        [
            ("rows", f"{found.rows:,}"),
            ("rows per second", f"{found.rows_per_second:,.0f} by {found.workers} workers"),
            ("takes", str(timedelta(seconds=round(found.duration.ToTimedelta().total_seconds())))),
            ("processor hours", f"{found.cpu_hours:.2f}"),
            ("costs", f"{found.cost:,.2f}" if found.HasField("cost") else ""),
            ("fits the window", fits[found.fits_window if found.HasField("fits_window") else None]),
            ("sample", f"{found.sample_rows:,} rows, {found.batch_rows:,} at once"),
        ]
    )
