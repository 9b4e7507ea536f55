"""How scoring jobs are shown: as they go on, at their end, their history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_client.cli.output import Output, shown, when
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

_STYLES = {
    pb.ScoringJob.STATE_SUCCEEDED: "green",
    pb.ScoringJob.STATE_PLANNING: "cyan",
    pb.ScoringJob.STATE_RUNNING: "cyan",
    pb.ScoringJob.STATE_FAILED: "bold red",
}


def short_name(job: pb.ScoringJob) -> str:
    """Return MODEL/ID, which commands take."""
    _, model, _, number = job.name.split("/")
    return f"{model}/{number}"


def state_markup(job: pb.ScoringJob) -> str:
    """Return the state of a job with its colour."""
    word = pb.ScoringJob.State.Name(job.state).removeprefix("STATE_").lower()
    return f"[{_STYLES.get(job.state, 'yellow')}]{word}[/]"


def input_text(given: pb.ScoringSpec.Input) -> str:
    """Return what is scored, in words.

    >>> input_text(pb.ScoringSpec.Input(source=pb.ScoringSpec.Source(source="lake", table="sales.customers")))
    'table sales.customers of lake'
    """
    if not given.HasField("source"):
        return given.uri
    return f"{f'table {given.source.table}' if given.source.table else given.source.query} of {given.source.source}"


def progress_text(job: pb.ScoringJob) -> str:
    """Return how far a job is, in words.

    >>> known = pb.ScoringProgress(rows=4000, rows_done=1000, rows_per_second=500.0)
    >>> progress_text(pb.ScoringJob(progress=known))
    '1,000 of 4,000 rows, 500 rows/s'
    """
    progress = job.progress
    of = f" of {progress.rows:,}" if progress.HasField("rows") else ""
    parts = [f"{progress.rows_done:,}{of} rows"]
    if progress.rows_rejected:
        parts.append(f"{progress.rows_rejected:,} rejected")
    if progress.rows_per_second:
        parts.append(f"{progress.rows_per_second:,.0f} rows/s")
    if progress.HasField("remaining"):
        parts.append(f"{_clock(progress.remaining.ToTimedelta())} left")
    return ", ".join(parts)


def line_of(job: pb.ScoringJob) -> str:
    """Return where a job is, in a line."""
    return f"{state_markup(job)} {progress_text(job)}: {shown(job.reason)}"


def panel(job: pb.ScoringJob) -> RenderableType:
    """Return the terminal view of a running job."""
    progress = job.progress
    head = Text.from_markup(f"[bold]{shown(short_name(job))}[/]  {shown(job.version)}  {state_markup(job)}")
    total = progress.rows if progress.HasField("rows") else None
    done = progress.rows_done if total is not None else progress.shards_done
    bar = ProgressBar(total=total if total is not None else progress.shards or None, completed=done, width=50)
    return Group(head, bar, Text(progress_text(job)), Text(job.reason, style="dim"))


def show_job(output: Output, job: pb.ScoringJob) -> None:
    """Print a job."""
    manifest = job.manifest if job.HasField("manifest") else None
    output.facts(
        [
            ("job", shown(short_name(job))),
            ("version", shown(job.version)),
            ("state", state_markup(job)),
            ("late", "[yellow]yes, its history says by how much[/]" if job.late else ""),
            ("why", shown(job.reason)),
            ("failure", shown(job.failure)),
            ("input", shown(input_text(job.spec.input))),
            (
                "tensors",
                ", ".join(f"{shown(one.tensor)} = {shown(', '.join(one.columns))}" for one in job.spec.tensors),
            ),
            ("progress", progress_text(job)),
            ("shards", f"{job.progress.shards_done:,} of {job.progress.shards:,}" if job.progress.shards else ""),
            ("output", shown(job.output_uri)),
            ("created", f"{when(job.create_time)} by {shown(job.client)}"),
            ("over", when(job.end_time)),
            ("took", _took(manifest) if manifest is not None else ""),
            ("manifest", f"{shown(manifest.uri)} ({manifest.digest[:16]})" if manifest is not None else ""),
        ]
    )


def show_events(output: Output, events: Sequence[pb.ScoringJobEvent]) -> None:
    """Print what happened, the latest first."""
    rows = [(when(one.create_time), one.type, shown(one.client) or "itself", shown(one.reason)) for one in events]
    output.table(("time", "what", "by", "why"), rows)


def row_of(job: pb.ScoringJob) -> tuple[str, ...]:
    """Return a job as a row of a table."""
    return (
        shown(short_name(job)),
        shown(job.version),
        state_markup(job),
        f"{job.progress.rows_done:,}",
        f"{job.progress.rows_rejected:,}",
        when(job.create_time),
        shown(job.reason),
    )


def _took(manifest: pb.Manifest) -> str:
    took = manifest.duration.ToTimedelta()
    cost = f" for {manifest.cost:,.2f}" if manifest.HasField("cost") else ""
    return f"{_clock(took)}, {manifest.cpu_seconds:,.1f} s of processors{cost}, {manifest.batch_rows:,} rows at once"


def _clock(duration: timedelta) -> str:
    """Return a duration as people read it: 42 s, 3:07 min, 2:05 h."""
    seconds = round(duration.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02} min"
    return f"{seconds // 3600}:{seconds % 3600 // 60:02} h"
