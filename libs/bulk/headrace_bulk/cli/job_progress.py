"""Following a scoring job to its end on the terminal."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import click
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_client.cli.failures import FAILED
from headrace_client.cli.output import Output, message_json
from headrace_client.client import Client
from headrace_client.errors import DeadlineExceeded
from rich.live import Live

from headrace_bulk.cli.job_views import line_of, panel, show_job


def follow(client: Client, output: Output, job: str, duration: timedelta | None) -> None:
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
        client.jobs.watch(job, received, timeout=timeout)
    if not seen:
        raise DeadlineExceeded("no answer about the job within that time")
    end = seen[-1]
    if output.as_json:
        output.document(message_json(end))
    else:
        show_job(output, end)
    if end.HasField("end_time") and end.state != pb.ScoringJob.STATE_SUCCEEDED:
        click.get_current_context().exit(FAILED)
