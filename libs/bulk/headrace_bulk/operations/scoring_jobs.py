"""Scoring jobs: running a version over the rows of files in S3."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from headrace.scorer.v1 import scorer_pb2
from headrace.webhook.v1.webhook_pb2 import Webhook
from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import NotFound
from headrace_client.operations.list_pages import list_all

DEFAULT_TIMEOUT_S = 30.0
# The first object of the input is read before the answer.
CREATE_TIMEOUT_S = 120.0


def create_scoring_job(
    session: Session,
    model: str,
    spec: scorer_pb2.ScoringSpec,
    *,
    request_id: str = "",
    validate_only: bool = False,
    timeout: float = CREATE_TIMEOUT_S,
) -> Operation[scorer_pb2.ScoringJob]:
    """Check a job and queue it. validate_only: only check it.

    Raises InvalidArgument naming every field, and every column that does not fit the version's contract.
    """
    request = scorer_pb2.CreateScoringJobRequest(
        parent=f"models/{model}",
        spec=spec,
        request_id=request_id or str(uuid.uuid4()),
        validate_only=validate_only,
    )
    return (yield from invoke(session, scorer_pb2.CreateScoringJobResponse, request, timeout_s=timeout)).job


def estimate_scoring_job(
    session: Session, model: str, spec: scorer_pb2.ScoringSpec, *, timeout: float = CREATE_TIMEOUT_S
) -> Operation[scorer_pb2.EstimateScoringJobResponse]:
    """Return what a job would take, by a sample that is scored. Raises as `create_scoring_job` does."""
    request = scorer_pb2.EstimateScoringJobRequest(parent=f"models/{model}", spec=spec)
    return (yield from invoke(session, scorer_pb2.EstimateScoringJobResponse, request, timeout_s=timeout))


def get_scoring_job(
    session: Session, job: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[scorer_pb2.ScoringJob]:
    """Return a job. job: here and below its name, `MODEL/ID`, or a model, which means the latest one of that."""
    request = scorer_pb2.GetScoringJobRequest(name=(yield from _named(session, job, timeout)))
    return (yield from invoke(session, scorer_pb2.GetScoringJobResponse, request, timeout_s=timeout)).job


def list_scoring_jobs(
    session: Session,
    *,
    model: str = "",
    version: str = "",
    running: bool = False,
    limit: int | None = 50,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[list[scorer_pb2.ScoringJob]]:
    """Return jobs, the latest first. version: only those that it scores, of a model. running: only those not over."""
    request = scorer_pb2.ListScoringJobsRequest(model=model, version=version, running=running)
    return (
        yield from list_all(
            session, scorer_pb2.ListScoringJobsResponse, request, "jobs", timeout_s=timeout, limit=limit
        )
    )


def watch_scoring_job(
    session: Session, job: str, received: Callable[[Any], None], *, timeout: float = 3600.0
) -> Operation[None]:
    """Give `received` a WatchScoringJobResponse now and at every change, until the job is over."""
    name = yield from _named(session, job, DEFAULT_TIMEOUT_S)
    request = scorer_pb2.WatchScoringJobRequest(name=name)
    yield from invoke(session, scorer_pb2.WatchScoringJobResponse, request, timeout_s=timeout, listen=lambda: received)


def pause_scoring_job(
    session: Session, job: str, *, reason: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[scorer_pb2.ScoringJob]:
    """Stop a job until `resume_scoring_job`; shards that are done stay done."""
    request = scorer_pb2.PauseScoringJobRequest(name=(yield from _named(session, job, timeout)), reason=reason)
    return (yield from invoke(session, scorer_pb2.PauseScoringJobResponse, request, timeout_s=timeout)).job


def resume_scoring_job(
    session: Session, job: str, *, reason: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[scorer_pb2.ScoringJob]:
    """End a pause."""
    request = scorer_pb2.ResumeScoringJobRequest(name=(yield from _named(session, job, timeout)), reason=reason)
    return (yield from invoke(session, scorer_pb2.ResumeScoringJobResponse, request, timeout_s=timeout)).job


def cancel_scoring_job(
    session: Session, job: str, *, reason: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[scorer_pb2.ScoringJob]:
    """End a job, and remove what it wrote."""
    request = scorer_pb2.CancelScoringJobRequest(name=(yield from _named(session, job, timeout)), reason=reason)
    return (yield from invoke(session, scorer_pb2.CancelScoringJobResponse, request, timeout_s=timeout)).job


def retry_scoring_job(
    session: Session, job: str, *, reason: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[scorer_pb2.ScoringJob]:
    """Go on with a job that failed; shards that are done stay done."""
    request = scorer_pb2.RetryScoringJobRequest(name=(yield from _named(session, job, timeout)), reason=reason)
    return (yield from invoke(session, scorer_pb2.RetryScoringJobResponse, request, timeout_s=timeout)).job


def scoring_job_history(
    session: Session, job: str, *, limit: int | None = 100, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[scorer_pb2.ScoringJobEvent]]:
    """Return what happened to a job, the latest first."""
    request = scorer_pb2.ListScoringJobEventsRequest(parent=(yield from _named(session, job, timeout)))
    found = list_all(
        session, scorer_pb2.ListScoringJobEventsResponse, request, "events", timeout_s=timeout, limit=limit
    )
    return (yield from found)


def _named(session: Session, job: str, timeout_s: float) -> Operation[str]:
    """Return the name of a job: as given, `MODEL/ID`, or the latest one of a model."""
    if job.startswith("models/"):
        return job
    model, _, number = job.partition("/")
    if number:
        return f"models/{model}/scoringJobs/{number}"
    found = yield from list_scoring_jobs(session, model=model, limit=1, timeout=timeout_s)
    if not found:
        raise NotFound(f"model '{model}' has no scoring job yet", reason="SCORING_JOB_NOT_FOUND")
    return found[0].name


def put_scoring_webhook(
    session: Session, webhook: Webhook, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[Webhook]:
    """Make a webhook for events of scoring jobs, or replace the one of its name. Without a secret the old one
    stays.
    """
    request = scorer_pb2.PutScoringWebhookRequest(webhook=webhook)
    return (yield from invoke(session, scorer_pb2.PutScoringWebhookResponse, request, timeout_s=timeout)).webhook


def list_scoring_webhooks(session: Session, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[list[Webhook]]:
    """Return the webhooks of scoring jobs, and how deliveries go."""
    request = scorer_pb2.ListScoringWebhooksRequest()
    return list(
        (yield from invoke(session, scorer_pb2.ListScoringWebhooksResponse, request, timeout_s=timeout)).webhooks
    )


def delete_scoring_webhook(session: Session, name: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[None]:
    """Remove a webhook and its undelivered events; one that does not exist is no error."""
    request = scorer_pb2.DeleteScoringWebhookRequest(name=f"scoringWebhooks/{name}")
    yield from invoke(session, scorer_pb2.DeleteScoringWebhookResponse, request, timeout_s=timeout)
