"""ScorerService: convert, call, convert."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from headrace.scorer.v1 import scorer_pb2 as pb
from headrace.scorer.v1 import scorer_pb2_grpc
from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.coordination.revisions import Changed, page_of, revisions
from headrace_servicekit.errors import NotFound
from headrace_servicekit.identity import identity
from headrace_servicekit.pages import page_size, page_token
from headrace_servicekit.request_fields import kept_text, optional_id
from headrace_servicekit.resource_names import invalid

from headrace_scorer import answers, convert
from headrace_scorer.creation import Creating
from headrace_scorer.decisions import jobs
from headrace_scorer.decisions.jobs import Job
from headrace_scorer.estimates import Estimating
from headrace_scorer.store import Decide, Store

# Jobs that are read at once, of which a caller may not see some.
_SCAN = 200


class ScorerServicer(scorer_pb2_grpc.ScorerServiceServicer):
    """ScorerService over its use cases. changed: called when a job was changed. stopping: ends the watches."""

    def __init__(
        self,
        store: Store,
        creating: Creating,
        estimating: Estimating,
        feed: ChangeFeed[Changed[Job]],
        changed: Callable[[], None],
        stopping: asyncio.Event,
    ) -> None:
        self._store, self._creating, self._estimating, self._feed = store, creating, estimating, feed
        self._changed, self._stopping = changed, stopping

    async def CreateScoringJob(self, request: pb.CreateScoringJobRequest, context: Any) -> pb.CreateScoringJobResponse:
        model, spec = convert.model_of(request.parent), convert.spec_of(request.spec)
        made = convert.request_of(request)
        job = await self._creating.create(model, spec, made, validate_only=request.validate_only)
        self._changed()
        return pb.CreateScoringJobResponse(job=answers.to_job(job))

    async def EstimateScoringJob(
        self, request: pb.EstimateScoringJobRequest, context: Any
    ) -> pb.EstimateScoringJobResponse:
        model, spec = convert.model_of(request.parent), convert.spec_of(request.spec)
        found, sample, workers = await self._estimating.estimate(model, spec, identity().client)
        return answers.to_estimate(found, sample.rows, sample.batch_rows, workers)

    async def GetScoringJob(self, request: pb.GetScoringJobRequest, context: Any) -> pb.GetScoringJobResponse:
        return pb.GetScoringJobResponse(job=answers.to_job(await self._job(request.name)))

    async def ListScoringJobs(self, request: pb.ListScoringJobsRequest, context: Any) -> pb.ListScoringJobsResponse:
        size, before = page_size(request.page_size), page_token(request.page_token)
        model = optional_id(request.model, "model")
        version = optional_id(request.version, "version")
        if version and not model:
            raise invalid("model", "is needed beside a version, which is one of a model")
        found, token = await page_of(
            lambda below, limit: self._store.jobs(before=below, model=model, running=request.running, limit=limit),
            lambda job: identity().sees(job.model) and version in ("", job.version.id),
            size=size,
            before=before,
        )
        return pb.ListScoringJobsResponse(jobs=[answers.to_job(job) for job in found], next_page_token=token)

    async def WatchScoringJob(
        self, request: pb.WatchScoringJobRequest, context: Any
    ) -> AsyncIterator[pb.WatchScoringJobResponse]:
        job = await self._job(request.name)
        async with aclosing(revisions(self._feed, lambda: self._store.job(job.id), self._stopping)) as seen:
            async for revision in seen:
                yield pb.WatchScoringJobResponse(job=answers.to_job(revision))

    async def PauseScoringJob(self, request: pb.PauseScoringJobRequest, context: Any) -> pb.PauseScoringJobResponse:
        client, reason = identity().client, kept_text(request.reason, "reason")
        changed = await self._change(request.name, lambda one, _: jobs.pause(one, client, reason))
        return pb.PauseScoringJobResponse(job=changed)

    async def ResumeScoringJob(self, request: pb.ResumeScoringJobRequest, context: Any) -> pb.ResumeScoringJobResponse:
        client, reason = identity().client, kept_text(request.reason, "reason")
        changed = await self._change(request.name, lambda one, _: jobs.resume(one, client, reason))
        return pb.ResumeScoringJobResponse(job=changed)

    async def CancelScoringJob(self, request: pb.CancelScoringJobRequest, context: Any) -> pb.CancelScoringJobResponse:
        client, reason = identity().client, kept_text(request.reason, "reason")
        changed = await self._change(request.name, lambda one, _: jobs.cancel(one, client, reason))
        return pb.CancelScoringJobResponse(job=changed)

    async def RetryScoringJob(self, request: pb.RetryScoringJobRequest, context: Any) -> pb.RetryScoringJobResponse:
        client, reason = identity().client, kept_text(request.reason, "reason")
        changed = await self._change(request.name, lambda one, _: jobs.retry(one, client, reason))
        return pb.RetryScoringJobResponse(job=changed)

    async def ListScoringJobEvents(
        self, request: pb.ListScoringJobEventsRequest, context: Any
    ) -> pb.ListScoringJobEventsResponse:
        size, before = page_size(request.page_size), page_token(request.page_token)
        job = await self._job(request.parent, "parent")
        found = await self._store.events(job.id, before=before, limit=size + 1)
        token = str(found[size - 1].number) if len(found) > size else ""
        return pb.ListScoringJobEventsResponse(
            events=[answers.to_event(past) for past in found[:size]], next_page_token=token
        )

    async def _job(self, name: str, field: str = "name") -> Job:
        model, id_ = convert.job_of(name, field)
        job = await self._store.job(id_)
        if job.model != model:
            raise NotFound(f"model '{model}' has no scoring job {id_}", reason="SCORING_JOB_NOT_FOUND")
        return job

    async def _change(self, name: str, decide: Decide) -> pb.ScoringJob:
        job = await self._job(name)
        after = await self._store.change(job.id, decide)
        self._changed()
        return answers.to_job(after)
