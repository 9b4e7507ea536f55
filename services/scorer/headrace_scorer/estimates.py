"""What a job would take, before it is created: planned, and a sample of it scored."""

from __future__ import annotations

import asyncio
import os
import time

import structlog
from headrace_servicekit.errors import (
    FieldViolation,
    InvalidArgument,
    PreconditionFailed,
    ResourceExhausted,
    Unavailable,
    refuse,
)

from headrace_scorer.creation import Creating
from headrace_scorer.decisions.estimates import Estimate, Measured, estimate
from headrace_scorer.decisions.jobs import Job
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Engine as ScoringEngine
from headrace_scorer.decisions.specs import Spec
from headrace_scorer.engine.messages import Checked, EstimateAnswer
from headrace_scorer.engine_processes import ProcessLost
from headrace_scorer.job_engine import Engine
from headrace_scorer.store import Request

log = structlog.get_logger()

# Each takes a core for seconds, and those who answer predictions need them too.
AT_ONCE = 1
# Starting Ray and its first actors, as it took on a machine with nothing else to do; what loading takes is measured.
RAY_START_S = 5.0


class Estimating:
    """Makes estimates, one at a time. price: of an hour of a processor; 0 for unknown."""

    def __init__(self, creating: Creating, engine: Engine, price: float) -> None:
        self._creating, self._engine, self._price = creating, engine, price
        self._places = asyncio.Semaphore(AT_ONCE)

    async def estimate(self, model: str, spec: Spec, client: str) -> tuple[Estimate, EstimateAnswer, int]:
        """Return what a job would take, the sample, and how many processes would score.

        Raises what CreateScoringJob raises, and ResourceExhausted, reason TOO_MANY_ESTIMATES.
        """
        if self._places.locked():
            raise ResourceExhausted(
                "another estimate is being made: ask again when it is over",
                reason="TOO_MANY_ESTIMATES",
                retry_after_s=5.0,
            )
        if spec.source is not None:
            message = (
                "an estimate of a source's rows would have to read all of them: estimate the files that they are from"
            )
            refuse([FieldViolation("spec.input.source", message)], reason="SPEC_INVALID")
        async with self._places:
            job = await self._creating.create(model, spec, Request(client, "", b""), validate_only=True)
            try:
                return await self._measured(job)
            except ProcessLost as error:
                log.warning("an estimate was lost", input=spec.reads, problem=str(error), wrote=error.wrote)
                message = f"the process that scores a sample was lost ({error}): it may need more memory"
                raise PreconditionFailed(message, reason="PROCESS_LOST") from None

    async def _measured(self, job: Job) -> tuple[Estimate, EstimateAnswer, int]:
        began = time.monotonic()
        shards, answer = await self._engine.planned(job)
        planning_s = time.monotonic() - began
        checked = answer.checked
        assert checked is not None
        _refuse(checked.failure, checked.reason, transient=answer.transient)
        workers = min(job.spec.options.workers or self._engine.workers, self._engine.workers, len(shards))
        if job.spec.options.engine is ScoringEngine.POOL:
            workers = 1  # one fills what callers leave of the batchers; more of them share it
        sample = await self._sampled(job, checked, shards, workers)
        if sample.rows == 0:
            raise InvalidArgument("spec.input: the first files have no row that could be scored", reason="INPUT_EMPTY")
        measured = Measured(sample.rows, sample.wall_s, sample.cpu_s, planning_s + RAY_START_S + sample.load_s)
        found = estimate(
            measured,
            _rows(shards, checked, sample),
            workers=workers,
            price_per_cpu_hour=self._price,
            window=job.spec.options.window,
        )
        return found, sample, workers

    async def _sampled(self, job: Job, checked: Checked, shards: list[Shard], workers: int) -> EstimateAnswer:
        """Return what samples took of as many processes at once as will score, as far as this machine has cores.

        They are in each other's way, and in that of S3, as they will be when the job runs. Raises ProcessLost.
        """
        at_once = min(workers, os.cpu_count() or 1)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._engine.sampled(job, checked, shards[at::at_once])) for at in range(at_once)
                ]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        parts = [task.result() for task in tasks]
        for one in parts:
            _refuse(one.failure, one.reason, transient=one.transient)
        return EstimateAnswer(
            rows=sum(one.rows for one in parts),
            wall_s=sum(one.wall_s for one in parts),
            cpu_s=sum(one.cpu_s for one in parts),
            load_s=max(one.load_s for one in parts),
            read_bytes=sum(one.read_bytes for one in parts),
            batch_rows=parts[0].batch_rows,
        )


def _rows(shards: list[Shard], checked: Checked, sample: EstimateAnswer) -> int:
    """Return the rows of an input; of files that do not say, by their bytes."""
    known = [shard.rows for shard in shards if shard.rows is not None]
    if len(known) == len(shards):
        return sum(known)
    return round(checked.input_bytes * sample.rows / max(sample.read_bytes, 1))


def _refuse(failure: str, reason: str, *, transient: bool) -> None:
    if transient:
        raise Unavailable(reason, reason=failure, retry_after_s=1.0)
    if failure:
        raise InvalidArgument(f"spec.input: {reason}", reason=failure)
