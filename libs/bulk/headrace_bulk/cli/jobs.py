"""`headrace jobs`: score the rows of files in S3 with a version, each exactly once."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import click
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_client.cli.options import connected, reason_option
from headrace_client.cli.output import Output, message_json
from headrace_client.cli.values import Duration
from headrace_client.cli.webhooks import WebhookKind, webhook_commands
from headrace_client.client import Client
from headrace_client.errors import DeadlineExceeded

from headrace_bulk.cli.job_progress import follow
from headrace_bulk.cli.job_submission import submit
from headrace_bulk.cli.job_views import line_of, row_of, short_name, show_events, show_job
from headrace_bulk.cli.publications import approve, publication, publish, revert

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


_WEBHOOKS = WebhookKind(
    "jobs",
    "scoring jobs",
    "scoringWebhooks",
    lambda client: client.jobs,
)
for _command in (submit, publish, approve, revert, publication, *webhook_commands(_WEBHOOKS)):
    jobs.add_command(_command)


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
    found = client.jobs.list(model=model, version=version, running=running, limit=limit)
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
    found = client.jobs.get(job)
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
    follow(client, output, job, duration)


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
    _changed(output, client.jobs.pause(job, reason=reason))


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
    _changed(output, client.jobs.resume(job, reason=reason))


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
    ending = client.jobs.cancel(job, reason=reason)
    with output.waiting("waiting until it is removed"), contextlib.suppress(DeadlineExceeded):
        client.jobs.watch(ending.name, lambda _: None, timeout=60)
    _changed(output, client.jobs.get(ending.name))


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
    _changed(output, client.jobs.retry(job, reason=reason))


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
    events = client.jobs.history(job, limit=limit)
    if output.as_json:
        output.document({"events": [message_json(one) for one in events]})
        return
    show_job(output, client.jobs.get(job))
    show_events(output, events)


def _changed(output: Output, job: pb.ScoringJob) -> None:
    if output.as_json:
        output.document(message_json(job))
    else:
        output.say(f"[bold]{short_name(job)}[/] {line_of(job)}")
