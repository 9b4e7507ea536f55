"""One job, worked on by the process that has its lease: planned, scored, committed, or removed."""

from __future__ import annotations

import errno
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version as installed

import structlog
from headrace_runtime.signatures.policy import Unsigned
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.errors import NotFound, PreconditionFailed, ServiceError, Unavailable
from headrace_servicekit.loops import delay_s

from headrace_scorer.decisions import jobs, manifests
from headrace_scorer.decisions.jobs import Job, Plan, Progress, State, Transition
from headrace_scorer.decisions.rates import Rate
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Location
from headrace_scorer.engine.messages import RunAnswer
from headrace_scorer.engine_processes import ProcessLost
from headrace_scorer.job_engine import Engine
from headrace_scorer.outputs import Outputs
from headrace_scorer.peers import HOLD, Registry
from headrace_scorer.store import Store

log = structlog.get_logger()

CODE_VERSION = installed("headrace-scorer")
NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))


def no_room(error: OSError) -> str:
    """Return what is wrong when there is no folder for a process of the engine, and what helps."""
    return f"{error.strerror}: give the scorer's work folder (SCORER_WORK_DIR) more room"


class JobWork:
    """Works on one job under a lease. Cancellation stops its processes."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        outputs: Outputs,
        registry: Registry,
        lease: LeaderLease,
        clock: Clock,
        counted: Callable[[int, int], None],
        price_per_cpu_hour: float,
    ) -> None:
        self._store, self._engine, self._outputs, self._registry = store, engine, outputs, registry
        self._lease, self._clock, self._counted, self._price = lease, clock, counted, price_per_cpu_hour
        self._failures = 0

    async def work(self, job: Job) -> None:
        """Do what a job wants until it wants nothing. Raises Aborted, reason NOT_LEADING."""
        if job.state is not State.CANCELLING:
            job = await self._change(job, jobs.begin)
        while job.state.wants_work:
            try:
                job = await self._step(job)
                self._failures = 0
            except ProcessLost as error:
                log.warning("a process of a job was lost", job=job.name, problem=str(error), wrote=error.wrote)
                job = await self._change(job, jobs.begin)
            except Unavailable as error:
                self._failures += 1
                message = f"waits: {error.public_message}"
                log.log(30 if self._failures == 1 else 10, "a job waits", job=job.name, reason=error.public_message)
                await self._clock.sleep(delay_s(self._failures, every_s=0.5, max_backoff_s=30.0, jitter=0.2, draw=0.5))
                job = await self._told(job, message)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                job = await self._fail(job, "DISK_FULL", f"{no_room(error)}, and retry")

    async def _step(self, job: Job) -> Job:
        if job.state is State.CANCELLING:
            await self._outputs.remove(job.output)
            return await self._change(job, jobs.cancelled)
        gone = await self._gone(job)
        if gone is not None:
            return gone
        if job.plan is None:
            return await self._plan(job)
        shards = await self._store.shards_to_do(job.id)
        return await self._run(job, shards) if shards else await self._commit(job)

    async def _gone(self, job: Job) -> Job | None:
        """Fail a job whose version is no more, or may not be loaded by the signing policy; keep it otherwise."""
        try:
            await self._registry.hold(job, HOLD)
            await self._registry.check_signed(job)
        except Unsigned as error:
            return await self._fail(job, error.reason, error.public_message)
        except (NotFound, PreconditionFailed) as error:
            message = f"{error.public_message}: register the version again, then create a new job"
            return await self._fail(job, "VERSION_GONE", message)
        except ServiceError as error:  # too slow, too busy, broken: what it says is for now
            raise Unavailable(f"the registry does not answer: {error.public_message}", reason=error.reason) from None
        return None

    async def _plan(self, job: Job) -> Job:
        shards, answer = await self._engine.planned(job)
        found = answer.checked
        assert found is not None
        if answer.transient:
            raise Unavailable(found.reason, reason=found.failure)
        if found.failure:
            return await self._fail(job, found.failure, found.reason)
        plan = Plan(found.tensors, found.read, found.types, found.objects, found.input_digest)
        known = [one.rows for one in shards if one.rows is not None]
        rows = sum(known) if len(known) == len(shards) else None

        def planned(one: Job, now: datetime) -> Transition:
            return jobs.planned(one, plan, rows=rows, shards=len(shards), input_bytes=found.input_bytes)

        return await self._store.plan(job.id, shards, planned, by=self._lease)

    async def _run(self, job: Job, shards: list[Shard]) -> Job:
        rate, left = Rate(time.monotonic()), len(shards)
        async with aclosing(self._engine.run(job, shards)) as heard:
            async for answer in heard:
                if answer.transient:
                    raise Unavailable(answer.reason, reason=answer.failure)
                if answer.failure:
                    return await self._fail(job, answer.failure, answer.reason)
                if answer.result is None:
                    rate = Rate(time.monotonic())  # what is before it are starts of processes
                left -= answer.result is not None
                job = await self._heard(job, answer, rate)
                progress = job.progress
                if jobs.too_many_rejected(job, progress.rows_done, progress.rows_rejected, last=False):
                    return await self._too_many(job)
                if not left:
                    return job  # the end of its processes is not waited for
        return job

    async def _heard(self, job: Job, answer: RunAnswer, rate: Rate) -> Job:
        result = answer.result
        if result is None:
            return await self._change(job, lambda one, _: Transition(replace(one, batch_rows=answer.batch_rows)))
        per_second = rate.add(time.monotonic(), result.rows)

        def settled(one: Job, progress: Progress) -> Transition:
            return jobs.advanced(one, replace(progress, rows_per_second=per_second), answer.batch_rows)

        # The processes continue meanwhile, until the pipe is full.
        job = await self._patiently(lambda: self._store.settle(job.id, result, settled, by=self._lease))
        self._counted(result.rows - result.rejected, result.rejected)
        return job

    async def _patiently(self, act: Callable[[], Awaitable[Job]]) -> Job:
        """Do what must not be lost while the database is away."""
        failures = 0
        while True:
            try:
                return await act()
            except Unavailable:
                failures += 1
                await self._clock.sleep(delay_s(failures, every_s=0.2, max_backoff_s=5.0, jitter=0.2, draw=0.5))

    async def _commit(self, job: Job) -> Job:
        done = await self._store.shards_done(job.id)
        progress = job.progress
        if jobs.too_many_rejected(job, progress.rows_done, progress.rows_rejected, last=True):
            return await self._too_many(job)
        try:
            manifest = manifests.balanced(job, done, await self._store.now(), CODE_VERSION, self._price)
        except manifests.NotBalanced as error:
            return await self._fail(job, "ROWS_MISSING", f"{error}: create a new job")
        at = job.output.below(manifests.FILE)
        await self._outputs.write(Location(at.bucket, at.prefix), manifests.document(job, manifest, done))
        return await self._change(job, lambda one, now: jobs.succeed(one, manifest, now))

    async def _too_many(self, job: Job) -> Job:
        done, most = job.progress, job.spec.options.max_rejected_share
        message = (
            f"{done.rows_rejected:,} of {done.rows_done:,} rows are rejected, more than {most:.3%}: "
            f"{job.output.below('_rejected').uri} says why; correct the input and create a new job, or allow more"
        )
        return await self._fail(job, "TOO_MANY_REJECTED", message)

    async def _fail(self, job: Job, failure: str, reason: str) -> Job:
        return await self._change(job, lambda one, now: jobs.fail(one, failure, reason, now))

    async def _told(self, job: Job, reason: str) -> Job:
        try:
            return await self._change(job, lambda one, _: jobs.waits(one, reason))
        except Unavailable:
            return job

    async def _change(self, job: Job, decide: Callable[[Job, datetime], Transition]) -> Job:
        """Apply `decide` to a job, unless a client paused or cancelled it meanwhile."""

        def unless_stopped(one: Job, now: datetime) -> Transition:
            stopped = one.state in (State.PAUSED, State.CANCELLING) and job.state is not State.CANCELLING
            return Transition(one) if stopped else decide(one, now)

        return await self._store.change(job.id, unless_stopped, by=self._lease)
