"""Job creation: reject every error that can be detected before the job starts."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

import structlog
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import FieldViolation, InvalidArgument, PreconditionFailed, Unavailable, refuse

from headrace_scorer.decisions.jobs import Event, Job, Version
from headrace_scorer.decisions.publishable import unpublishable
from headrace_scorer.decisions.specs import COPIES, Format, Location, Spec
from headrace_scorer.engine.messages import Checked
from headrace_scorer.engine_processes import ProcessLost
from headrace_scorer.job_engine import Engine
from headrace_scorer.peers import FIRST_HOLD, Registry
from headrace_scorer.store import Request, Store

log = structlog.get_logger()

# Checks that are made at once, each by a process; more callers wait, as long as they have time.
CHECKS = 4
# S3 is given up long before.
CHECK_S = 180.0


class Creating:
    """Checks jobs and queues them. bucket: where results go that are to be nowhere else. others: that jobs may use."""

    def __init__(
        self, store: Store, registry: Registry, engine: Engine, bucket: str, others: frozenset[str] = frozenset()
    ) -> None:
        self._store, self._registry, self._engine, self._bucket = store, registry, engine, bucket
        self._allowed = others | {bucket}
        self._places = asyncio.Semaphore(CHECKS)

    async def create(self, model: str, spec: Spec, request: Request, *, validate_only: bool) -> Job:
        """Queue a job, or return the one that the request made before. Raises what CreateScoringJob says."""
        earlier = None if validate_only else await self._store.repeated(request)
        if earlier is not None:
            return earlier
        # Here, for the buckets of a schedule may have been taken away since.
        self._refuse_others(spec)
        version = await self._registry.resolved(model, spec.version, spec.alias, spec.options.engine)
        id_ = 0 if validate_only else await self._store.next_id()
        below = spec.output or Location(self._bucket, "scored")
        output = below.below(model, f"job-{id_}")
        if spec.source is not None:
            spec = replace(spec, input=output.below(COPIES), format=Format.PARQUET)
        job = Job(
            id=id_,
            model=model,
            spec=spec,
            version=version,
            output=output,
            client=request.client,
            create_time=await self._store.now(),
        )
        job = replace(job, spec=_completed(spec, await self._check(job)))
        if validate_only:
            return job
        await self._registry.hold(job, FIRST_HOLD)
        message = f"version {version.id} scores {spec.reads}"
        return await self._store.create(job, request, Event("created", message, request.client))

    def _refuse_others(self, spec: Spec) -> None:
        message = f"is not one that jobs may use: there are {', '.join(sorted(self._allowed))} (SCORER_BUCKETS)"
        wrong = [
            FieldViolation(field, f"bucket '{at.bucket}' {message}")
            for field, at in (("spec.input.uri", spec.input), ("spec.output.uri", spec.output))
            if at is not None and at.bucket not in self._allowed and not (at is spec.input and spec.source is not None)
        ]
        refuse(wrong, reason="SPEC_INVALID")

    async def _check(self, job: Job) -> Checked:
        if job.spec.publish is not None:
            wrong = unpublishable(job.spec, job.spec.publish, outputs_of(job.version), "spec.publishing")
            refuse([FieldViolation(one.field, one.description) for one in wrong], reason="OUTPUTS_MISSING")
        try:
            async with self._places, asyncio.timeout(CHECK_S):
                checked = await self._engine.checked(job)
        except TimeoutError:
            message = f"{job.spec.reads} was not checked within {CHECK_S:g} s: look at where it is, and at its size"
            raise Unavailable(message, reason="CHECK_TOO_SLOW", retry_after_s=60.0) from None
        except ProcessLost as error:
            log.warning("a check was lost", input=job.spec.reads, problem=str(error), wrote=error.wrote)
            raise PreconditionFailed(
                f"the process that looks at the input was lost ({error}): it may have a damaged file",
                reason="INPUT_UNREADABLE",
            ) from None
        refuse([FieldViolation(one.field, one.description) for one in checked.mismatches], reason="MAPPING_MISMATCH")
        if checked.failure in ("STORE_UNAVAILABLE", "SOURCE_UNAVAILABLE"):
            raise Unavailable(checked.reason, reason=checked.failure, retry_after_s=1.0)
        if checked.failure:
            field = FieldViolation("spec.input", checked.reason)
            raise InvalidArgument(f"spec.input: {checked.reason}", reason=checked.failure, violations=[field])
        return checked


def outputs_of(version: Version) -> list[str]:
    """Return the names of a version's outputs."""
    contract = tensor_pb2.ServingContract.FromString(base64.b64decode(version.contract))
    return [output.name for output in contract.outputs]


def _completed(spec: Spec, checked: Checked) -> Spec:
    return replace(spec, tensors=checked.tensors)
