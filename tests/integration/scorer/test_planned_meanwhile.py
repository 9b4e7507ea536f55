"""Somebody changes a job in the very moment in which its plan is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from headrace_scorer.decisions.jobs import Event, Job, Transition, Version
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.store import Request, Store, database
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.postgres.migrated import MigratedDatabase

BEGIN = datetime(2026, 11, 29, tzinfo=UTC)


class Interrupted:
    """Transactions in which somebody else changes the job as soon as it was read."""

    def __init__(self, connections: MigratedDatabase, store: Store, job: int) -> None:
        self._connections, self._store, self._job = connections, store, job
        self.change: asyncio.Task[Job] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self._connections.transaction() as connection:
            self._connection = connection
            yield self

    async def execute(self, *arguments: Any) -> Any:
        return await self._connection.execute(*arguments)

    async def fetchval(self, *arguments: Any) -> Any:
        return await self._connection.fetchval(*arguments)

    async def fetchrow(self, *arguments: Any) -> Any:
        row = await self._connection.fetchrow(*arguments)
        if self.change is None:
            changed = self._store.change(self._job, lambda one, _: Transition(replace(one, late=True)))
            self.change = asyncio.create_task(changed)
            await asyncio.wait([self.change], timeout=0.5)
        return row


async def test_a_plan_is_kept_also_when_somebody_changes_the_job_meanwhile(postgres_url: str):
    async with database(Address(postgres_url), 4) as connections:
        await connections.migrate()
        store = Store(connections, max_waiting=10)
        id_, version = await store.next_id(), Version("v1", "d1", "sha", 1, "")
        job = Job(id_, "fraud", Spec(Location("t", "in")), version, Location("t", "out"), "ada", BEGIN)
        await store.create(job, Request("ada", "", b""), Event("created", ""))
        by: Any = Interrupted(connections, store, id_)
        shards = [Shard(0, "in", "e", 1)]
        await store.plan(id_, shards, lambda one, _: Transition(replace(one, reason="planned")), by=by)
        assert (await by.change).late
        found = await store.job(id_)
        assert (found.reason, found.late) == ("planned", True)
        assert await store.shards_to_do(id_) == shards
