"""What people decide about publications."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc.aio
import structlog
from headrace.router.v1 import precomputed_pb2, precomputed_pb2_grpc
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import FieldViolation, InvalidArgument, NotFound, PreconditionFailed, refuse

from headrace_scorer.creation import outputs_of
from headrace_scorer.decisions import publications
from headrace_scorer.decisions.jobs import Event, Job, State
from headrace_scorer.decisions.publications import Publication
from headrace_scorer.decisions.publish_specs import PublishSpec
from headrace_scorer.decisions.publishable import unpublishable
from headrace_scorer.publishing.store import PublicationStore
from headrace_scorer.store import Store

log = structlog.get_logger()

CALL_S = 30.0


class Deciding:
    """The use cases. control: a channel to the router's control plane. wake: has the runner look at once."""

    def __init__(self, jobs: Store, store: PublicationStore, control: Any, wake: Callable[[], None]) -> None:
        self._jobs, self._store, self._wake = jobs, store, wake
        self._precomputed = precomputed_pb2_grpc.PrecomputedServiceStub(control)

    async def publish(
        self, model: str, job_id: int, spec: PublishSpec | None, client: str, reason: str = ""
    ) -> Publication:
        """Publish a job, or try again. Raises what PublishScoringJob says."""
        event = Event("publishing", reason, client)
        job = await self._job(model, job_id)
        if job.state is not State.SUCCEEDED:
            raise PreconditionFailed(
                f"{job.name} is {job.state.value}: only results that are complete are published",
                reason="SCORING_JOB_NOT_SUCCEEDED",
            )
        wanted = spec or job.spec.publish
        if spec is not None:
            wrong = unpublishable(job.spec, spec, outputs_of(job.version), "publishing")
            refuse([FieldViolation(one.field, one.description) for one in wrong], reason="OUTPUTS_MISSING")
        try:
            await self._store.publication(job.id)
        except NotFound:
            if wanted is None:
                message = "neither the call nor the job says how it is published"
                violations = [FieldViolation("publishing", message)]
                raise InvalidArgument(
                    f"publishing: {message}", reason="PUBLISHING_MISSING", violations=violations
                ) from None
            await self._store.begin(publications.begun(job, wanted, client), job.version.digest, event)
            publication = await self._store.publication(job.id)
        else:
            publication = await self._store.change(
                job.id, lambda one, _: publications.again(one, spec, client), event=event
            )
        self._wake()
        return publication

    async def approve(self, model: str, job_id: int, client: str, reason: str = "") -> Publication:
        """Approve a held publication. Raises PreconditionFailed, reason PUBLICATION_NOT_HELD."""
        await self._job(model, job_id)
        event = Event("publication_approved", reason, client)
        publication = await self._store.change(job_id, lambda one, _: publications.approved(one, client), event=event)
        self._wake()
        return publication

    async def revert(self, model: str, job_id: int, client: str, reason: str = "") -> Publication:
        """Put the previous generation in force again. Raises the errors that RevertScoringPublication documents."""
        job = await self._job(model, job_id)
        publication = await self._store.publication(job_id)
        publications.reverted(publication, client)  # raises where it cannot be
        request = precomputed_pb2.RevertPrecomputedRequest(
            name=f"models/{model}/versions/{job.version.id}", generation=int(publication.publish.rsplit("/", 1)[-1])
        )
        try:
            await self._precomputed.RevertPrecomputed(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        log.info("publication reverted", publication=publication.name, publish=publication.publish)
        event = Event("publication_reverted", reason, client)
        return await self._store.change(job_id, lambda one, _: publications.reverted(one, client), event=event)

    async def publication(self, model: str, job_id: int) -> Publication:
        """Return a publication; of a job that is to be published and is not over, as it will begin. Raises NotFound."""
        job = await self._job(model, job_id)
        try:
            return await self._store.publication(job_id)
        except NotFound:
            if job.spec.publish is None or (job.state.over and job.state is not State.SUCCEEDED):
                raise
            return publications.begun(job, job.spec.publish, job.client)

    async def _job(self, model: str, job_id: int) -> Job:
        job = await self._jobs.job(job_id)
        if job.model != model:
            raise NotFound(f"there is no scoring job {job_id} of '{model}'", reason="SCORING_JOB_NOT_FOUND")
        return job
