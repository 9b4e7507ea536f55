"""The jobs that this process runs, each under a separate lease, so that only one process works on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import NoReturn

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Aborted, Unavailable
from headrace_servicekit.postgres.connections import Connections

from headrace_scorer.decisions.jobs import Job, State
from headrace_scorer.job_work import JobWork
from headrace_scorer.store import Store

log = structlog.get_logger()

# Another process takes over the jobs of one that died after this time.
LEASE = timedelta(seconds=12)
RENEW_S = 3.0
LOOK_EVERY_S = 1.0

MakeWork = Callable[[LeaderLease], JobWork]


class Runner:
    """Runs jobs that need work, a bounded number at a time, oldest first."""

    def __init__(self, store: Store, connections: Connections, work: MakeWork, clock: Clock, *, most: int) -> None:
        self._store, self._connections, self._work, self._clock, self._most = store, connections, work, clock, most
        self._running: dict[int, asyncio.Task[None]] = {}
        self._wakeup = Wakeup()

    @property
    def running(self) -> int:
        """Return how many jobs this process runs."""
        return len(self._running)

    def wake(self) -> None:
        """Look at once."""
        self._wakeup.wake()

    async def run(self) -> NoReturn:
        """Run jobs until cancelled. Their processes end then, and other replicas continue the jobs."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    await self._look(tasks)
                except Unavailable as error:
                    log.debug("jobs are not looked for", reason=error.public_message)
                await self._wakeup.wait(LOOK_EVERY_S)

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        for job in await self._store.not_over():
            # What is to be removed does not wait for what is to be scored.
            free = len(self._running) < self._most or job.state is State.CANCELLING
            if not job.state.wants_work or job.id in self._running or not free:
                continue
            lease = LeaderLease(self._connections, f"scoringJobs/{job.id}", self._clock, lease=LEASE)
            if await lease.acquire():
                task = tasks.create_task(self._supervised(job, lease), name=f"run {job.name}")
                self._running[job.id] = task

    async def _supervised(self, job: Job, lease: LeaderLease) -> None:
        """Work on a job while it wants that and the lease is held."""
        log.info("working on a job", job=job.name, state=job.state.value, fence=lease.fence)
        work = asyncio.create_task(self._work(lease).work(job), name=f"work on {job.name}")
        try:
            await self._until_stopped(job, lease, work)
        finally:
            work.cancel()
            # Its processes are gone before anybody else may begin.
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
            del self._running[job.id]
            with suppress(Unavailable):
                await lease.release()
            self.wake()
        error = None if work.cancelled() else work.exception()
        if isinstance(error, Aborted):
            log.warning("another process has the job", job=job.name, reason=error.public_message)
        elif error is not None:
            log.error("work on a job failed", job=job.name, exc_info=error)
            await self._clock.sleep(LOOK_EVERY_S)

    async def _until_stopped(self, job: Job, lease: LeaderLease, work: asyncio.Task[None]) -> None:
        renewed = self._clock.monotonic()
        while not work.done():
            await asyncio.wait([work], timeout=0.5)
            try:
                if self._clock.monotonic() - renewed >= RENEW_S:
                    await lease.renew()
                    renewed = self._clock.monotonic()
                now = await self._store.job(job.id)
            except Unavailable:
                continue
            stopped = now.state is State.PAUSED or (now.state is State.CANCELLING and job.state is not State.CANCELLING)
            if lease.fence is None or stopped:
                return
