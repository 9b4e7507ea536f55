"""One publication, worked on by the process that has its lease: checked, then published."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import structlog
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.errors import Unavailable

from headrace_scorer.decisions import publications
from headrace_scorer.decisions.jobs import Job
from headrace_scorer.decisions.publications import Publication, State
from headrace_scorer.decisions.publish_specs import Disappeared
from headrace_scorer.engine.publish_orders import Answered, UploadAnswer
from headrace_scorer.publishing.publish_engine import PublishEngine
from headrace_scorer.publishing.store import InForce, PublicationStore
from headrace_scorer.store import Store

log = structlog.get_logger()


class PublicationWork:
    """Works on one publication. Cancellation stops its processes; another process resumes it."""

    def __init__(self, jobs: Store, store: PublicationStore, engine: PublishEngine) -> None:
        self._jobs, self._store, self._engine = jobs, store, engine

    async def begin(self, job_id: int) -> None:
        """Begin the publication that a job's spec asks for."""
        job = await self._jobs.job(job_id)
        assert job.spec.publish is not None
        await self._store.begin(publications.begun(job, job.spec.publish, job.client), job.version.digest)

    async def work(self, publication: Publication, lease: LeaderLease) -> None:
        """Do what a publication wants until it wants nothing. Raises Aborted, Unavailable, ProcessLost."""
        job = await self._jobs.job(publication.job)
        while publication.state.wants_work:
            step = self._check if publication.state is State.CHECKING else self._publish
            publication = await step(job, publication, lease)
        log.info(
            "publication over", publication=publication.name, state=publication.state.value, reason=publication.reason
        )

    async def waits(self, publication: Publication, reason: str) -> None:
        """Record in the reason of a publication what it waits for."""

        def waiting(one: Publication, _: datetime) -> Publication:
            return replace(one, reason=f"waits: {reason}") if one.state.wants_work else one

        await self._store.change(publication.job, waiting)

    async def lost(self, publication: Publication, problem: str, losses: int, lease: LeaderLease) -> None:
        """Record that the process was lost; fail the publication after too many losses in a row."""
        await self._store.change(publication.job, lambda one, _: publications.disturbed(one, problem, losses), by=lease)

    async def _check(self, job: Job, publication: Publication, lease: LeaderLease) -> Publication:
        before = await self._store.in_force(publication, job.version.digest)
        answered = await self._answered(job, publication)
        found = await self._engine.checked(job, publication, answered, before.frozen if before is not None else "")
        if found.transient:
            raise Unavailable(found.reason, reason=found.failure)
        if found.failure:
            return await self._fail(publication, found.failure, found.reason, lease)
        compared_with = before.publication.job if before is not None else None

        def judged(one: Publication, _: datetime) -> Publication:
            if one.state is not State.CHECKING:
                return one
            return publications.judged(one, found.parity, found.unanswered, found.drift, compared_with)

        return await self._store.change(publication.job, judged, frozen=found.frozen, by=lease)

    async def _publish(self, job: Job, publication: Publication, lease: LeaderLease) -> Publication:
        before = await self._store.in_force(publication, job.version.digest)
        answered = await self._answered(job, publication)
        earlier = await self._kept_of(before) if publication.spec.disappeared is Disappeared.KEPT else None
        last = UploadAnswer()
        async for answer in self._engine.uploaded(job, publication, answered, earlier):
            last = answer
            if answer.publish and not answer.done:
                publication = await self._begun(publication, answer, lease)
            if answer.failure:
                break
        if last.done:
            return await self._done(publication, last, lease)
        if last.closed:
            return await self._store.change(
                publication.job, lambda one, _: publications.lost(one, last.reason), by=lease
            )
        if last.transient or not last.failure:
            raise Unavailable(
                last.reason or "the process that publishes was lost", reason=last.failure or "PROCESS_LOST"
            )
        return await self._fail(publication, last.failure, last.reason, lease)

    async def _begun(self, publication: Publication, answer: UploadAnswer, lease: LeaderLease) -> Publication:
        def begun(one: Publication, _: datetime) -> Publication:
            return replace(one, publish=answer.publish, reason=f"{answer.total:,} answers are uploaded")

        return await self._store.change(publication.job, begun, by=lease)

    async def _done(self, publication: Publication, answer: UploadAnswer, lease: LeaderLease) -> Publication:
        def published(one: Publication, now: datetime) -> Publication:
            return publications.published(one, answer.publish, answer.entities, answer.kept, now, answer.kept_file)

        return await self._store.change(publication.job, published, by=lease)

    async def _fail(self, publication: Publication, failure: str, reason: str, lease: LeaderLease) -> Publication:
        return await self._store.change(
            publication.job, lambda one, _: publications.failed(one, failure, reason), by=lease
        )

    async def _kept_of(self, before: InForce | None) -> Answered | None:
        if before is None:
            return None
        job = await self._jobs.job(before.publication.job)
        return await self._answered(job, before.publication)

    async def _answered(self, job: Job, publication: Publication) -> Answered:
        done = await self._jobs.shards_done(job.id)
        assert job.end_time is not None, "only a job that is over is published"
        return Answered(
            job=job.id,
            bucket=job.output.bucket,
            entity=publication.spec.entity,
            results=tuple(done),
            computed=job.end_time,
            kept=publication.kept_file,
        )
