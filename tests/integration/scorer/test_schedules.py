"""Schedules over PostgreSQL: one job for a time, whoever leads, and what is skipped is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from headrace_scorer.decisions.jobs import Event, Job, State, Version, fail
from headrace_scorer.decisions.schedules import Schedule
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.scheduling.scheduler import Scheduler
from headrace_scorer.scheduling.store import ScheduleStore
from headrace_scorer.store import Request, Store, database
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.errors import Aborted, NotFound, Unavailable
from headrace_servicekit.identity import Identity
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.postgres.migrated import MigratedDatabase

ADA = Identity("ada")
MINUTELY = Schedule("minutely", "fraud", "* * * * *", "UTC", Spec(Location("tables", "in")), "ada")
BEGIN = datetime(2026, 11, 29, tzinfo=UTC)


class Creating:
    """Creates jobs in the store without looking at their input."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.error: Exception | None = None

    async def create(self, model: str, spec: Spec, request: Request, *, validate_only: bool) -> Job:
        assert not validate_only
        if self.error is not None:
            raise self.error
        earlier = await self._store.repeated(request)
        if earlier is not None:
            return earlier
        version = Version("v1", "d1", "sha", 1, "")
        job = Job(await self._store.next_id(), model, spec, version, Location("out", "x"), request.client, BEGIN)
        return await self._store.create(job, request, Event("created", ""))


class Rig:
    """Two schedulers over one database."""

    def __init__(self, connections: MigratedDatabase) -> None:
        self.store, self.jobs = ScheduleStore(connections), Store(connections, max_waiting=100)
        self.creating: Any = Creating(self.jobs)
        self.leases = [LeaderLease(connections, "schedules", SystemClock()) for _ in range(2)]
        self.schedulers = [Scheduler(self.store, self.jobs, self.creating, lease) for lease in self.leases]

    async def put(self, *, ago: timedelta, **changed: Any) -> None:
        """Keep a schedule whose last time was so long ago."""
        await self.store.put(replace(MINUTELY, **changed), lambda one, _: one, ADA)
        await self.store.change("fraud", "minutely", lambda one, now: replace(one, last_time=now - ago))

    async def schedule(self) -> Schedule:
        return (await self.store.schedule("fraud", "minutely"))[0]


@pytest.fixture
async def rig(postgres_url: str) -> AsyncIterator[Rig]:
    async with database(Address(postgres_url), 4) as connections:
        await connections.migrate()
        yield Rig(connections)


async def test_a_time_that_came_has_one_job_whoever_leads_and_however_often_it_looks(rig: Rig):
    await rig.put(ago=timedelta(minutes=1))
    assert await rig.leases[0].acquire()
    assert not await rig.leases[1].acquire()
    await rig.schedulers[0].step()
    await rig.schedulers[0].step()
    # Another one takes over, and the first one comes back: what it decides is refused.
    await rig.leases[0].release()
    assert await rig.leases[1].acquire()
    await rig.schedulers[1].step()
    (job,) = await rig.jobs.jobs(before=2**62, model="fraud", running=False, limit=10)
    schedule = await rig.schedule()
    assert (schedule.last_job, schedule.created) == (job.id, 1)
    (decision,) = [one for one in await rig.store.decisions(schedule, 10) if one.job is not None]
    assert decision.job == job.id


async def test_a_job_that_was_created_before_its_scheduler_died_is_not_created_again(rig: Rig):
    await rig.put(ago=timedelta(minutes=1))
    assert await rig.leases[0].acquire()
    rig.leases[0].fence = 10**6  # as of a leader that was overtaken: it may create, and not decide
    with pytest.raises(Aborted, match="leads"):
        await rig.schedulers[0].step()
    assert (await rig.schedule()).created == 0
    assert await rig.leases[0].acquire()
    await rig.schedulers[0].step()
    assert len(await rig.jobs.jobs(before=2**62, model="fraud", running=False, limit=10)) == 1
    assert (await rig.schedule()).created == 1


async def test_what_is_skipped_is_said_and_a_job_that_is_not_over_has_no_company(rig: Rig):
    assert await rig.leases[0].acquire()
    await rig.put(ago=timedelta(minutes=3))
    await rig.schedulers[0].step()
    schedule = await rig.schedule()
    assert (schedule.created, schedule.skipped) in [(1, 2), (1, 3)]
    await rig.store.change("fraud", "minutely", lambda one, now: replace(one, last_time=now - timedelta(minutes=1)))
    await rig.schedulers[0].step()
    after = await rig.schedule()
    assert (after.created, after.skipped) == (1, schedule.skipped + 1)
    latest = (await rig.store.decisions(after, 10))[0]
    assert (latest.job, latest.skipped) == (None, 1)
    assert "was not over" in latest.reason
    # Once it is over, the next time has a job.
    await rig.jobs.change(after.last_job or 0, lambda one, now: fail(one, "X", "x", now))
    await rig.store.change("fraud", "minutely", lambda one, now: replace(one, last_time=now - timedelta(minutes=1)))
    await rig.schedulers[0].step()
    assert (await rig.schedule()).created == 2


async def test_a_job_that_is_refused_is_skipped_and_one_that_cannot_be_asked_for_is_tried_again(rig: Rig):
    assert await rig.leases[0].acquire()
    await rig.put(ago=timedelta(minutes=1))
    rig.creating.error = Unavailable("the registry is away", reason="UNAVAILABLE")
    await rig.schedulers[0].step()
    assert (await rig.schedule()).skipped == 0
    rig.creating.error = NotFound("model 'fraud' not found", reason="MODEL_NOT_FOUND")
    await rig.schedulers[0].step()
    schedule = await rig.schedule()
    assert (schedule.created, schedule.skipped) == (0, 1)
    assert "model 'fraud' not found" in (await rig.store.decisions(schedule, 1))[0].reason
    rig.creating.error = None
    await rig.schedulers[0].step()
    assert (await rig.schedule()).created == 0  # its time is decided on


async def test_a_schedule_that_is_deleted_or_paused_creates_nothing(rig: Rig):
    assert await rig.leases[0].acquire()
    await rig.put(ago=timedelta(minutes=1), paused=True)
    await rig.schedulers[0].step()
    assert (await rig.schedule()).created == 0
    await rig.store.delete("fraud", "minutely")
    await rig.store.delete("fraud", "minutely")
    await rig.schedulers[0].step()
    with pytest.raises(NotFound):
        await rig.schedule()
    jobs = await asyncio.wait_for(rig.jobs.jobs(before=2**62, model="", running=False, limit=10), 5)
    assert [job for job in jobs if job.state is not State.FAILED] == []
