"""Creates the jobs of schedules, in one process at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import NoReturn

import structlog
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.errors import Aborted, NotFound, ServiceError, Unavailable

from headrace_scorer.creation import Creating
from headrace_scorer.decisions import schedules
from headrace_scorer.decisions.jobs import Job
from headrace_scorer.decisions.schedules import Due, Schedule
from headrace_scorer.scheduling.store import Decision, ScheduleStore
from headrace_scorer.store import Request, Store

log = structlog.get_logger()

LOOK_EVERY_S = 1.0


class Scheduler:
    """Evaluates every schedule while it is the leader.

    A job is created before the decision is stored, under a request id derived from its time: a repeat returns the same
    job.
    """

    def __init__(self, store: ScheduleStore, jobs: Store, creating: Creating, lease: LeaderLease) -> None:
        self._store, self._jobs, self._creating, self._lease = store, jobs, creating, lease

    async def run(self) -> NoReturn:
        """Evaluate schedules until cancelled, whenever this process holds the leader lease."""
        await self._lease.lead(self.step, every_s=LOOK_EVERY_S)

    async def step(self) -> bool:
        """Decide on the times that have come."""
        for schedule, revision in await self._store.schedules():
            try:
                await self._look(schedule, revision)
            except Aborted as error:
                if error.reason == "NOT_LEADING":
                    raise
                log.info("a schedule changed meanwhile", schedule=schedule.name)
            except Unavailable as error:  # of one schedule: what it needs is away. Its time has not been decided on.
                log.warning("a schedule waits", schedule=schedule.name, reason=error.public_message)
        return False

    async def _look(self, schedule: Schedule, revision: int) -> None:
        now = await self._store.now()
        if schedules.due(schedule, now, busy=False) is None:
            return
        decided = schedules.due(schedule, now, busy=await self._busy(schedule))
        if decided is None:
            return
        after, decisions = decided.schedule, [
            Decision(one.first, None, one.count, one.reason) for one in decided.skipped
        ]  # fmt: skip
        if decided.time is not None:
            after, made = await self._create(decided, decided.time)
            decisions.append(made)
        await self._store.decided(schedule, revision, after, decisions, self._lease)
        for one in decisions:
            log.info(
                "schedule decided", schedule=schedule.name, time=one.time.isoformat(), job=one.job, reason=one.reason
            )

    async def _create(self, decided: Due, time: datetime) -> tuple[Schedule, Decision]:
        """Create the job of a time. What cannot be created is skipped, with the reason."""
        schedule, id_ = decided.schedule, decided.schedule.request_id(time)
        request = Request(schedule.client, id_, sha256(id_.encode()).digest())
        try:
            job: Job = await self._creating.create(schedule.model, schedule.spec, request, validate_only=False)
        except Unavailable:
            raise
        except ServiceError as error:
            skipped = replace(schedule, skipped=schedule.skipped + 1)
            return skipped, Decision(time, None, 1, f"the job was refused: {error.public_message}")
        after = replace(schedule, last_job=job.id, created=schedule.created + 1)
        return after, Decision(time, job.id, 0, f"created {job.name}")

    async def _busy(self, schedule: Schedule) -> bool:
        if schedule.last_job is None:
            return False
        try:
            return not (await self._jobs.job(schedule.last_job)).state.over
        except NotFound:
            return False
