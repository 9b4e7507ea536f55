"""From values to the API's messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from headrace.scorer.v1 import scorer_pb2 as pb

from headrace_scorer.decisions.estimates import Estimate
from headrace_scorer.decisions.jobs import Job, Manifest, Progress, State, remaining_s
from headrace_scorer.decisions.specs import ColumnExpression, Engine, Format, Spec
from headrace_scorer.publish_messages import to_publishing
from headrace_scorer.store import PastEvent

_STATES: Mapping[State, pb.ScoringJob.State] = {
    State.QUEUED: pb.ScoringJob.STATE_QUEUED,
    State.PLANNING: pb.ScoringJob.STATE_PLANNING,
    State.RUNNING: pb.ScoringJob.STATE_RUNNING,
    State.PAUSED: pb.ScoringJob.STATE_PAUSED,
    State.CANCELLING: pb.ScoringJob.STATE_CANCELLING,
    State.SUCCEEDED: pb.ScoringJob.STATE_SUCCEEDED,
    State.FAILED: pb.ScoringJob.STATE_FAILED,
    State.CANCELLED: pb.ScoringJob.STATE_CANCELLED,
}
FORMATS = {
    Format.EXTENSION: pb.ScoringSpec.Input.FORMAT_UNSPECIFIED,
    Format.PARQUET: pb.ScoringSpec.Input.FORMAT_PARQUET,
    Format.CSV: pb.ScoringSpec.Input.FORMAT_CSV,
    Format.JSONL: pb.ScoringSpec.Input.FORMAT_JSONL,
    Format.ARROW: pb.ScoringSpec.Input.FORMAT_ARROW,
    Format.DELTA: pb.ScoringSpec.Input.FORMAT_DELTA,
}

ENGINES = {Engine.WORKERS: pb.ScoringOptions.ENGINE_WORKERS, Engine.POOL: pb.ScoringOptions.ENGINE_POOL}


def to_job(job: Job) -> pb.ScoringJob:
    """Return a job."""
    message = pb.ScoringJob(
        name=job.name,
        spec=to_spec(job.spec),
        version=job.version.id,
        version_digest=job.version.digest,
        state=_STATES[job.state],
        reason=job.reason,
        failure=job.failure,
        progress=_progress(job.progress),
        output_uri=job.output.uri,
        client=job.client,
        revision=job.revision,
        attempts=job.attempts,
        late=job.late,
    )
    message.create_time.FromDatetime(job.create_time)
    if job.start_time is not None:
        message.start_time.FromDatetime(job.start_time)
    if job.end_time is not None:
        message.end_time.FromDatetime(job.end_time)
    if job.manifest is not None:
        message.manifest.CopyFrom(_manifest(job.manifest))
    return message


def to_spec(spec: Spec) -> pb.ScoringSpec:
    """Return what a job does."""
    message = pb.ScoringSpec(
        version=spec.version,
        alias=spec.alias,
        input=_input(spec),
        derived_columns=[_expression(one) for one in spec.derived],
        tensors=[pb.ScoringSpec.TensorColumns(tensor=one.tensor, columns=one.columns) for one in spec.tensors],
        keep_columns=spec.keep,
        output_columns=[_expression(one) for one in spec.outputs],
        output=pb.ScoringSpec.Output(uri=spec.output.uri if spec.output is not None else ""),
        options=pb.ScoringOptions(
            batch_rows=spec.options.batch_rows,
            shard_rows=spec.options.shard_rows,
            workers=spec.options.workers,
            max_rejected_share=spec.options.max_rejected_share,
            engine=ENGINES[spec.options.engine],
            pool=spec.options.pool,
        ),
        publishing=to_publishing(spec.publish) if spec.publish is not None else None,
    )
    if spec.options.window is not None:
        message.options.window.FromTimedelta(spec.options.window)
    return message


def _input(spec: Spec) -> pb.ScoringSpec.Input:
    if (source := spec.source) is not None:
        message = pb.ScoringSpec.Source(source=source.name, query=source.query, table=source.table)
        return pb.ScoringSpec.Input(source=message)
    return pb.ScoringSpec.Input(uri=spec.input.uri, format=FORMATS[spec.format])


def to_estimate(found: Estimate, sample_rows: int, batch_rows: int, workers: int) -> pb.EstimateScoringJobResponse:
    """Return what a job would take."""
    message = pb.EstimateScoringJobResponse(
        rows=found.rows or 0,
        rows_per_second=found.rows_per_second,
        cpu_hours=found.cpu_hours or 0.0,
        cost=found.cost or None,
        fits_window=found.fits,
        sample_rows=sample_rows,
        batch_rows=batch_rows,
        workers=workers,
    )
    if found.duration is not None:
        message.duration.FromTimedelta(found.duration)
    return message


def to_event(past: PastEvent) -> pb.ScoringJobEvent:
    """Return a line of the history."""
    event = past.event
    message = pb.ScoringJobEvent(number=past.number, type=event.type, reason=event.reason, client=event.client)
    message.create_time.FromDatetime(past.time)
    return message


def _expression(one: ColumnExpression) -> pb.ScoringSpec.ColumnExpression:
    return pb.ScoringSpec.ColumnExpression(column=one.column, expression=one.expression)


def _progress(progress: Progress) -> pb.ScoringProgress:
    message = pb.ScoringProgress(
        rows=progress.rows,
        rows_done=progress.rows_done,
        rows_rejected=progress.rows_rejected,
        shards=progress.shards,
        shards_done=progress.shards_done,
        rows_per_second=progress.rows_per_second,
        input_bytes=progress.input_bytes,
    )
    left = remaining_s(progress)
    if left is not None:
        message.remaining.FromTimedelta(timedelta(seconds=left))
    return message


def _manifest(manifest: Manifest) -> pb.Manifest:
    message = pb.Manifest(
        rows_in=manifest.rows_in,
        rows_out=manifest.rows_out,
        rows_rejected=manifest.rows_rejected,
        input_digest=manifest.input_digest,
        output_digest=manifest.output_digest,
        version_digest=manifest.version_digest,
        digest=manifest.digest,
        code_version=manifest.code_version,
        cpu_seconds=manifest.cpu_s,
        batch_rows=manifest.batch_rows,
        files=manifest.files,
        uri=manifest.uri,
        cost=manifest.cost,
    )
    message.duration.FromTimedelta(timedelta(seconds=manifest.duration_s))
    return message
