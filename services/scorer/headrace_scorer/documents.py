"""Jobs, shards and results as JSON, as the database keeps them."""

from __future__ import annotations

from pydantic import TypeAdapter

from headrace_scorer.decisions.jobs import Event, Job
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.engine.messages import ShardResult

_JOB = TypeAdapter(Job)
_SHARD = TypeAdapter(Shard)
_RESULT = TypeAdapter(ShardResult)
_NOTICE = TypeAdapter(tuple[Event, Job])


def job_json(job: Job) -> str:
    """Return a job as JSON."""
    return _JOB.dump_json(job).decode()


def job_of(text: str) -> Job:
    """Return the job of a JSON text. Raises ValueError."""
    return _JOB.validate_json(text)


def shard_json(shard: Shard) -> str:
    """Return a shard as JSON."""
    return _SHARD.dump_json(shard).decode()


def shard_of(text: str) -> Shard:
    """Return the shard of a JSON text. Raises ValueError."""
    return _SHARD.validate_json(text)


def result_json(result: ShardResult) -> str:
    """Return a result as JSON."""
    return _RESULT.dump_json(result).decode()


def result_of(text: str) -> ShardResult:
    """Return the result of a JSON text. Raises ValueError."""
    return _RESULT.validate_json(text)


def notice_json(event: Event, job: Job) -> str:
    """Return the JSON body of a webhook notification: an event and the job after it."""
    return _NOTICE.dump_json((event, job)).decode()


def notice_of(text: str) -> tuple[Event, Job]:
    """Return the event and the job of a JSON text. Raises ValueError."""
    return _NOTICE.validate_json(text)
