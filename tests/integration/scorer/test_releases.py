"""The version of a job is released once the job is over, however long the registry is away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from headrace_scorer.decisions import jobs
from headrace_scorer.decisions.jobs import Event, Job, Version
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.store import Request, Store, database
from headrace_scorer.version_holds import Holding
from headrace_servicekit.errors import NotFound, Unavailable
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import eventually


class Holds:
    """A registry's holds, by job. lost: how many releases are not taken. gone: the model was deleted."""

    def __init__(self) -> None:
        self.held, self.lost, self.gone = set[int](), 0, False
        self.asked = 0

    async def hold(self, job: Job, ttl: timedelta) -> None:
        self.held.add(job.id)

    async def release(self, job: Job) -> None:
        self.asked += 1
        if self.lost > 0:
            self.lost -= 1
            raise Unavailable("the registry is away")
        if self.gone:
            raise NotFound("model 'fraud' not found", reason="MODEL_NOT_FOUND")
        self.held.discard(job.id)


async def stored(store: Store) -> Job:
    """Store a job that waits."""
    at = Location("lake", "in")
    version = Version("v1", "d1", "sha", 1, "")
    job = Job(await store.next_id(), "fraud", Spec(at), version, at, "ada", await store.now())
    return await store.create(job, Request("ada", "", b""), Event("created", "", "ada"))


async def ended(store: Store) -> Job:
    """Store a job that failed."""
    job = await stored(store)
    return await store.change(job.id, lambda one, now: jobs.fail(one, "INPUT_EMPTY", "no rows", now))


async def test_a_release_that_the_registry_does_not_take_is_repeated_until_it_does(postgres_url: str):
    async with database(Address(postgres_url), 4) as connections:
        await connections.migrate()
        holds, store = Holds(), Store(connections, max_waiting=10)
        outside: Any = holds
        holding = Holding(store, outside)
        waits, over = await stored(store), await ended(store)
        holds.held, holds.lost = {waits.id, over.id}, 2
        with pytest.raises(Unavailable):
            await holding.release()

        async def is_released() -> bool:
            try:
                await holding.release()
            except Unavailable:
                return False
            return over.id not in holds.held

        await eventually(is_released, within=30)
        assert holds.held == {waits.id}, "what is needed stays held"
        asked = holds.asked
        await holding.release()
        assert holds.asked == asked, "what was released is not released again"


async def test_the_version_of_a_job_that_is_tried_again_is_released_again(postgres_url: str):
    async with database(Address(postgres_url), 4) as connections:
        await connections.migrate()
        holds, store = Holds(), Store(connections, max_waiting=10)
        outside: Any = holds
        over = await ended(store)
        await Holding(store, outside).release()
        await store.change(over.id, lambda one, now: jobs.retry(one, "ada", ""))
        await Holding(store, outside).release()
        assert holds.asked == 1, "it is needed"
        await store.change(over.id, lambda one, now: jobs.fail(one, "INPUT_EMPTY", "no rows", now))
        await Holding(store, outside).release()
        assert holds.asked == 2


async def test_a_model_that_was_deleted_meanwhile_ends_the_release(postgres_url: str):
    async with database(Address(postgres_url), 4) as connections:
        await connections.migrate()
        holds, store = Holds(), Store(connections, max_waiting=10)
        outside: Any = holds
        await ended(store)
        holds.gone = True
        for _ in range(2):
            await Holding(store, outside).release()
        assert holds.asked == 1
