"""Jobs that have been over for long are forgotten, with every row that is about them, and no others."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from headrace_scorer.decisions import jobs, publications
from headrace_scorer.decisions.jobs import Event, Job, Progress, State, Transition, Version
from headrace_scorer.decisions.publications import Publication
from headrace_scorer.decisions.publish_specs import PublishSpec
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.engine.messages import ShardResult
from headrace_scorer.job_runner import LEASE
from headrace_scorer.publishing.store import PublicationStore
from headrace_scorer.store import Request, Store, database
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.postgres.migrated import MigratedDatabase

KEEP = timedelta(days=90)
TABLES = ("scoring_jobs", "scoring_job_events", "shards", "publications", "leader_leases")


class JobsInDatabase:
    """Jobs that a test makes in a database."""

    def __init__(self, connections: MigratedDatabase) -> None:
        self._connections = connections
        self.store, self.publications = Store(connections, max_waiting=1000), PublicationStore(connections)

    async def job(self, *, ago: timedelta | None) -> int:
        """Keep a job with a shard and a lease, over for so long; None for one that is not over."""
        now, id_ = await self.store.now(), await self.store.next_id()
        version = Version("v1", "d1", "sha", 1, "")
        job = Job(id_, "fraud", Spec(Location("t", "in")), version, Location("t", "out"), "ada", now - 2 * KEEP)
        await self.store.create(job, Request("ada", "", b""), Event("created", ""))
        lease = LeaderLease(self._connections, f"scoringJobs/{id_}", SystemClock(), lease=LEASE)
        assert await lease.acquire()
        await self.store.plan(id_, [Shard(0, "in", "e", 1)], lambda one, _: Transition(one), by=lease)

        def settled(one: Job, _: Progress) -> Transition:
            return Transition(one)

        await self.store.settle(id_, ShardResult(0, 1, 0, "out", "sha", 1), settled, by=lease)
        await lease.release()
        if ago is not None:
            over = now - ago
            await self.store.change(id_, lambda one, _: jobs.fail(one, "X", "x", over))
        return id_

    async def published(self, *, ago: timedelta) -> int:
        """Keep a job whose answers were published so long ago."""
        id_ = await self.job(ago=ago)
        await self.store.change(id_, lambda one, _: Transition(replace(one, state=State.SUCCEEDED)))
        at = await self.store.now() - ago
        await self.publications.begin(Publication(id_, "fraud", "v1", PublishSpec("user"), "ada"), "d1")

        def published(one: Publication, _: datetime) -> Publication:
            return publications.published(one, "models/fraud/versions/v1/publishes/1", 1, 0, at)

        await self.publications.change(id_, published)
        return id_

    async def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        async with self._connections.transaction() as connection:
            return {table: await connection.fetchval(f"select count(*) from {table}") for table in TABLES}

    async def ids(self) -> set[int]:
        """Return the jobs that there are."""
        return {job.id for job in await self.store.jobs(before=2**62, model="", running=False, limit=1000)}


async def test_a_job_is_forgotten_some_time_after_its_end_with_every_row_about_it(postgres_url: str):
    async with database(Address(postgres_url), 2) as connections:
        await connections.migrate()
        jobs_there = JobsInDatabase(connections)
        stay = {await jobs_there.job(ago=None), await jobs_there.job(ago=timedelta(days=89))}
        before = await jobs_there.rows()
        for _ in range(21):  # more than are forgotten at once
            await jobs_there.job(ago=timedelta(days=91))
        await jobs_there.store.expire(KEEP)
        assert await jobs_there.ids() == stay
        assert await jobs_there.rows() == before


async def test_answers_that_count_or_would_after_a_revert_keep_their_jobs(postgres_url: str):
    async with database(Address(postgres_url), 2) as connections:
        await connections.migrate()
        jobs_there = JobsInDatabase(connections)
        _, before, counts = [await jobs_there.published(ago=timedelta(days=days)) for days in (300, 200, 100)]
        held = await jobs_there.job(ago=timedelta(days=100))
        await jobs_there.publications.begin(Publication(held, "fraud", "v1", PublishSpec("user"), "ada"), "d1")
        await jobs_there.store.expire(KEEP)
        assert await jobs_there.ids() == {before, counts, held}
