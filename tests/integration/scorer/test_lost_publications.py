"""A publication whose process is lost each time is given up, and says why; what people decide is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from headrace_scorer.decisions import publications
from headrace_scorer.decisions.jobs import Event, Job, Transition, Version, fail
from headrace_scorer.decisions.publications import Publication, State
from headrace_scorer.decisions.publish_specs import PublishSpec
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.engine_processes import ProcessLost
from headrace_scorer.publishing.publication_runner import PublicationRunner
from headrace_scorer.publishing.publication_work import PublicationWork
from headrace_scorer.publishing.store import PublicationStore
from headrace_scorer.store import Request, Store, database
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import eventually

BEGIN = datetime(2026, 11, 29, tzinfo=UTC)


class LeapingClock(SystemClock):
    """A clock on which every pause is over when it is looked at again."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 100.0
        return self._now


class LosingEngine:
    """An engine whose processes are killed."""

    def __init__(self) -> None:
        self.begun = 0

    async def checked(self, *_: Any) -> Any:
        self.begun += 1
        raise ProcessLost("exit code -9", "Killed")


async def test_a_publication_whose_process_is_lost_each_time_is_given_up(postgres_url: str):
    async with database(Address(postgres_url), 4) as connections:
        await connections.migrate()
        jobs, store, engine = Store(connections, max_waiting=10), PublicationStore(connections), LosingEngine()
        version = Version("v1", "d1", "sha", 1, "")
        id_ = await jobs.next_id()
        job = Job(id_, "fraud", Spec(Location("t", "in")), version, Location("t", "out"), "ada", BEGIN)
        await jobs.create(job, Request("ada", "", b""), Event("created", ""))
        await jobs.change(id_, lambda one, now: Transition(fail(one, "X", "x", now).job))
        await store.begin(Publication(id_, "fraud", "v1", PublishSpec("user"), "ada"), "d1")
        untyped: Any = engine
        clock = LeapingClock()
        runner = PublicationRunner(store, connections, PublicationWork(jobs, store, untyped), clock)
        running = asyncio.create_task(runner.run())

        async def over() -> bool:
            runner.wake()
            return (await store.publication(id_)).state is State.FAILED

        await eventually(over, within=30)
        running.cancel()
        await asyncio.wait([running])
        found = await store.publication(id_)
        assert found.failure == "PROCESS_LOST"
        assert "5 times (exit code -9)" in found.reason
        assert engine.begun == publications.MAX_LOSSES


async def test_who_published_what_and_why_stands_in_the_history_of_the_job(postgres_url: str):
    async with database(Address(postgres_url), 4) as connections:
        await connections.migrate()
        jobs, store = Store(connections, max_waiting=10), PublicationStore(connections)
        id_ = await jobs.next_id()
        version = Version("v1", "d1", "sha", 1, "")
        job = Job(id_, "fraud", Spec(Location("t", "in")), version, Location("t", "out"), "ada", BEGIN)
        await jobs.create(job, Request("ada", "", b""), Event("created", ""))
        begun = Publication(id_, "fraud", "v1", PublishSpec("user"), "ada")
        for _ in range(2):  # whoever comes second finds one, and has published nothing
            await store.begin(begun, "d1", Event("publishing", "for Monday", "ada"))
        held = replace(begun, state=State.HELD)
        await store.change(id_, lambda one, _: replace(held, revision=one.revision))
        event = Event("publication_approved", "as planned", "grace")
        for _ in range(2):
            await store.change(id_, lambda one, _: publications.approved(one, "grace"), event=event)
        history = [past.event for past in await jobs.events(id_, before=2**62, limit=9)]
        assert history == [event, Event("publishing", "for Monday", "ada"), Event("created", "")]
