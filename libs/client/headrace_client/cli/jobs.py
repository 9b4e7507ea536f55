"""`headrace jobs`: score the rows of files in S3 with a version, each exactly once."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import click
from headrace.scorer.v1 import scorer_pb2 as pb
from rich.live import Live

from headrace_client.cli.failures import FAILED
from headrace_client.cli.job_views import line_of, panel, row_of, short_name, show_events, show_job
from headrace_client.cli.options import connected, model_argument, reason_option, request_id_option
from headrace_client.cli.output import Output, message_json
from headrace_client.cli.parsing import Duration, Pair
from headrace_client.cli.publications import approve, publication, publish, revert
from headrace_client.client import Client
from headrace_client.errors import DeadlineExceeded

FORMATS = {
    "parquet": pb.ScoringSpec.Input.FORMAT_PARQUET,
    "csv": pb.ScoringSpec.Input.FORMAT_CSV,
    "jsonl": pb.ScoringSpec.Input.FORMAT_JSONL,
    "arrow": pb.ScoringSpec.Input.FORMAT_ARROW,
}

_job_argument = click.argument("job", metavar="MODEL[/ID]")


@click.group()
def jobs() -> None:
    """Score tables of any size in S3 with a registered version.

    A job's results are complete when it has succeeded, and count for nothing before.

    \b
    Examples:
      headrace jobs submit fraud --input s3://headrace-scoring/in --keep id --watch
      headrace jobs list --running
      headrace jobs watch fraud
      headrace jobs cancel fraud/7
    """


for _command in (publish, approve, revert, publication):
    jobs.add_command(_command)


@jobs.command()
@model_argument
@click.option("--input", "uri", required=True, metavar="S3-URI", help="s3://BUCKET/PREFIX: every file below it.")
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
    """Score what lies below a prefix with a version of MODEL.

    \b
    Examples:
      headrace jobs submit fraud --input s3://headrace-scoring/in --keep id
      headrace jobs submit fraud --input s3://lake/day=1 --tensor features=age,amount --column score="scores[1]"
      headrace jobs submit fraud --input s3://lake/day=1 --derive "amount_log=ln(1 + amount)" --dry-run
    """
    if estimate:
        _show_estimate(output, client.estimate_scoring_job(model, _spec(**how)))
        return
    made = client.create_scoring_job(model, _spec(**how), request_id=request_id, validate_only=dry_run)
    if follow and not dry_run:
        _follow(client, output, made.name, None)
    elif output.as_json:
        output.document(message_json(made))
    elif dry_run:
        show_job(output, made)
    else:
        output.say(f"[bold]{short_name(made)}[/] waits; `headrace jobs watch {short_name(made)}` follows it")


@jobs.command("list")
@click.option("--model", default="", help="Only of this model.")
@click.option("--version", default="", help="Only those that this version of --model scores.")
@click.option("--running", is_flag=True, help="Only those that are not over.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@connected
def list_jobs(client: Client, output: Output, model: str, version: str, running: bool, limit: int) -> None:
    """List jobs, the latest first.

    \b
    Examples:
      headrace jobs list --running
      headrace jobs list --model fraud --version v3
    """
    found = client.list_scoring_jobs(model=model, version=version, running=running, limit=limit)
    if output.as_json:
        output.document({"jobs": [message_json(one) for one in found]})
        return
    output.table(("job", "version", "state", "rows", "rejected", "created", "why"), [row_of(one) for one in found])


@jobs.command()
@_job_argument
@connected
def get(client: Client, output: Output, job: str) -> None:
    """Show a job: how far it is, what it wrote, why it failed.

    \b
    Examples:
      headrace jobs get fraud
      headrace jobs get fraud/7 --json
    """
    found = client.get_scoring_job(job)
    if output.as_json:
        output.document(message_json(found))
    else:
        show_job(output, found)


@jobs.command()
@_job_argument
@click.option("--for", "duration", type=Duration(), help="End after this time; default when the job is over.")
@connected
def watch(client: Client, output: Output, job: str, duration: timedelta | None) -> None:
    """Follow a job: rows, rows per second, and how long it still takes.

    With --json the document comes at the end. Exit code 1 when it did not succeed.

    \b
    Examples:
      headrace jobs watch fraud
      headrace jobs watch fraud/7 --for 10m
    """
    _follow(client, output, job, duration)


@jobs.command()
@_job_argument
@reason_option
@connected
def pause(client: Client, output: Output, job: str, reason: str) -> None:
    """Stop a job until it is resumed. Shards that are done stay done.

    \b
    Examples:
      headrace jobs pause fraud --reason "traffic first"
    """
    _changed(output, client.pause_scoring_job(job, reason=reason))


@jobs.command()
@_job_argument
@reason_option
@connected
def resume(client: Client, output: Output, job: str, reason: str) -> None:
    """End a pause.

    \b
    Examples:
      headrace jobs resume fraud
    """
    _changed(output, client.resume_scoring_job(job, reason=reason))


@jobs.command()
@_job_argument
@reason_option
@connected
def cancel(client: Client, output: Output, job: str, reason: str) -> None:
    """End a job, remove what it wrote, and wait for that.

    \b
    Examples:
      headrace jobs cancel fraud/7 --reason "wrong month"
    """
    ending = client.cancel_scoring_job(job, reason=reason)
    with output.waiting("waiting until it is removed"), contextlib.suppress(DeadlineExceeded):
        client.watch_scoring_job(ending.name, lambda _: None, timeout=60)
    _changed(output, client.get_scoring_job(ending.name))


@jobs.command()
@_job_argument
@reason_option
@connected
def retry(client: Client, output: Output, job: str, reason: str) -> None:
    """Go on with a job that failed. Shards that are done stay done.

    \b
    Examples:
      headrace jobs retry fraud/7
    """
    _changed(output, client.retry_scoring_job(job, reason=reason))


@jobs.command()
@_job_argument
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many events.")
@connected
def history(client: Client, output: Output, job: str, limit: int) -> None:
    """Show what happened to a job, and who asked for it.

    \b
    Examples:
      headrace jobs history fraud/7
    """
    events = client.scoring_job_history(job, limit=limit)
    if output.as_json:
        output.document({"events": [message_json(one) for one in events]})
        return
    show_job(output, client.get_scoring_job(job))
    show_events(output, events)


def _spec(
    *,
    uri: str,
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
    max_rejected_share: float | None,
    window: timedelta | None,
    publish: str,
) -> pb.ScoringSpec:
    """Return the job that the options of `submit` say."""
    named = pb.ScoringSpec.Input(uri=uri)
    if format_ is not None:
        named.format = FORMATS[format_]
    options = pb.ScoringOptions(
        batch_rows=batch_rows or 0,
        shard_rows=shard_rows or 0,
        workers=workers or 0,
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


def _follow(client: Client, output: Output, job: str, duration: timedelta | None) -> None:
    """Follow a job to its end, or for a time."""
    seen: list[pb.ScoringJob] = []
    live = Live(console=output.stdout, refresh_per_second=4) if output.stdout.is_terminal else None
    timeout = 30 * 86_400.0 if duration is None else duration.total_seconds()

    def received(answer: pb.WatchScoringJobResponse) -> None:
        before, now = seen[-1] if seen else None, answer.job
        seen[:] = [now]
        if live is not None:
            live.update(panel(now))
        elif before is None or (before.state, before.progress.rows_done) != (now.state, now.progress.rows_done):
            output.say(line_of(now))

    with contextlib.suppress(DeadlineExceeded), live if live and not output.as_json else contextlib.nullcontext():
        client.watch_scoring_job(job, received, timeout=timeout)
    if not seen:
        raise DeadlineExceeded("nobody said within that time how the job is")
    end = seen[-1]
    if output.as_json:
        output.document(message_json(end))
    else:
        show_job(output, end)
    if end.HasField("end_time") and end.state != pb.ScoringJob.STATE_SUCCEEDED:
        click.get_current_context().exit(FAILED)


def _changed(output: Output, job: pb.ScoringJob) -> None:
    if output.as_json:
        output.document(message_json(job))
    else:
        output.say(f"[bold]{short_name(job)}[/] {line_of(job)}")
