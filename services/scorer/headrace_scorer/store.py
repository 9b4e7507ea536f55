"""Jobs in PostgreSQL: every change is conditional on the revision that it was decided from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.coordination.feeds import Position
from headrace_servicekit.coordination.revisions import Changed
from headrace_servicekit.errors import Aborted, AlreadyExists, NotFound, ResourceExhausted
from headrace_servicekit.postgres.connections import Address, Connections, Transactions
from headrace_servicekit.postgres.migrated import MigratedDatabase
from headrace_servicekit.postgres.sql import load_queries

from headrace_scorer import notices
from headrace_scorer.decisions.jobs import Event, Job, Progress, Transition
from headrace_scorer.decisions.manifests import Done
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.documents import job_json, job_of, result_json, result_of, shard_json, shard_of
from headrace_scorer.engine.messages import ShardResult

log = structlog.get_logger()

SQL = "headrace_scorer.sql"
_QUERIES = load_queries(SQL)

CHANNEL = "scoring_jobs"
_TRIES = 20
# Each job has as many rows as shards.
_EXPIRED_AT_ONCE = 10
_OVER = WorkClaims(
    "scoring_jobs",
    {"id": "bigint"},
    due="held and state in ('succeeded', 'failed', 'cancelled')",
    order="id",
    lease=timedelta(seconds=30),
)

Decide = Callable[[Job, datetime], Transition]
"""What becomes of a job at a time."""


@dataclass(frozen=True, slots=True)
class Request:
    """What makes a creation repeatable. fingerprint: of the whole request."""

    client: str
    id: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class PastEvent:
    """A line of the history."""

    number: int
    time: datetime
    event: Event


def database(address: Address, size: int) -> MigratedDatabase:
    """Return the connections that the store works on; nothing reads or writes before the schema is there."""
    return MigratedDatabase(address, owner="scorer", size=size, sql=SQL)


class Store:
    """Every method raises Unavailable while the database cannot be reached."""

    def __init__(self, connections: Connections, *, max_waiting: int) -> None:
        self._connections, self._max_waiting = connections, max_waiting

    async def check(self) -> None:
        """Raise Unavailable unless the database answers and has the schema."""
        await self.position()

    async def next_id(self) -> int:
        """Return the id of a job that is about to be created."""
        async with self._connections.transaction() as connection:
            return await connection.fetchval(_QUERIES["next_id"])

    async def now(self) -> datetime:
        """Return the time by the database's clock, as all times of a job are."""
        return (await self._fetch("now"))[0][0]

    async def create(self, job: Job, request: Request, event: Event) -> Job:
        """Keep a new job, or return the one that the request made before.

        Raises AlreadyExists, reason REQUEST_ID_REUSED, and ResourceExhausted, reason TOO_MANY_JOBS.
        """
        async with self._connections.transaction() as connection:
            sequence = await connection.fetchval(_QUERIES["advance"])
            earlier = _repeated(await connection.fetch(_QUERIES["repeated"], request.client, request.id), request)
            if earlier is not None:
                return earlier
            if await connection.fetchval(_QUERIES["count_not_over"]) >= self._max_waiting:
                raise ResourceExhausted(
                    f"{self._max_waiting} jobs are not over, and no more may be: wait for them or cancel some",
                    reason="TOO_MANY_JOBS",
                    retry_after_s=60.0,
                )
            job = replace(job, revision=1)
            arguments = (job.id, job.model, job.state.value, job_json(job), sequence)
            await connection.execute(_QUERIES["insert"], *arguments, request.client, request.id, request.fingerprint)
            await _tell(connection, job, (event,), job.create_time)
            return job

    async def repeated(self, request: Request) -> Job | None:
        """Return the job that a request made before. Raises AlreadyExists, reason REQUEST_ID_REUSED."""
        return _repeated(await self._fetch("repeated", request.client, request.id), request)

    async def change(self, id_: int, decide: Decide, *, by: Transactions | None = None) -> Job:
        """Apply `decide` to the stored job and store the result if it differs; retry on a concurrent change.

        by: the lease of the worker; a change after the lease is lost is refused. Raises NotFound, reason
        SCORING_JOB_NOT_FOUND, and what `decide` raises.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                async with (by or self._connections).transaction() as connection:
                    return await _changed(connection, id_, decide)
            except Aborted as error:
                if error.reason != "SCORING_JOB_CHANGED" or attempt == _TRIES:
                    raise
        raise AssertionError("unreachable")

    async def plan(self, id_: int, shards: Sequence[Shard], decide: Decide, *, by: Transactions) -> Job:
        """Replace the shards of a job and apply `decide` to it, in one transaction."""
        async with by.transaction() as connection:
            await connection.execute(_QUERIES["delete_shards"], id_)
            numbers, documents = [one.number for one in shards], [shard_json(one) for one in shards]
            await connection.execute(_QUERIES["insert_shards"], id_, numbers, documents)
            # Lock before the job is read: concurrent changes wait.
            await connection.fetchval(_QUERIES["advance"])
            return await _changed(connection, id_, decide)

    async def settle(
        self, id_: int, result: ShardResult, decide: Callable[[Job, Progress], Transition], *, by: Transactions
    ) -> Job:
        """Keep what became of a shard. decide: is given what is done altogether."""
        async with by.transaction() as connection:
            # Before the job is read: two that settle shards follow each other.
            sequence = await connection.fetchval(_QUERIES["advance"])
            await connection.fetchval(_QUERIES["settle_shard"], id_, result.number, result_json(result))
            row = await connection.fetchrow(_QUERIES["job"], id_)
            before = _existing(row, id_)
            counted = await connection.fetchrow(_QUERIES["progress"], id_)
            progress = replace(before.progress, **dict(counted))
            return await _save(connection, before, decide(before, progress), row["read_time"], sequence)

    async def shards_to_do(self, id_: int) -> list[Shard]:
        """Return the shards of a job that are not done."""
        return [shard_of(row["document"]) for row in await self._fetch("shards_to_do", id_)]

    async def shards_done(self, id_: int) -> list[Done]:
        """Return the shards of a job that are done."""
        return [_done(row) for row in await self._fetch("shards_done", id_)]

    async def job(self, id_: int) -> Job:
        """Return a job. Raises NotFound, reason SCORING_JOB_NOT_FOUND."""
        found = await self._fetch("job", id_)
        return _existing(found[0] if found else None, id_)

    async def not_over(self) -> list[Job]:
        """Return the jobs that are not over, the first one first."""
        return [_job(row) for row in await self._fetch("not_over")]

    async def release_over(self, release: Callable[[Job], Awaitable[object]]) -> None:
        """Have what jobs held that are over be released, one at a time; what fails is due again after a pause.

        Raises the first failure.
        """

        async def released(rows: list[Any]) -> None:
            for row in rows:
                await release(_job(row))
                async with self._connections.transaction() as connection:
                    await connection.execute(_QUERIES["released"], row["id"], row["revision"])

        await _OVER.work_off(self._connections, released, limit=1)

    async def expire(self, keep: timedelta) -> None:
        """Remove jobs that have been over for so long by the database's clock: their rows, never their results."""
        removed = _EXPIRED_AT_ONCE
        while removed == _EXPIRED_AT_ONCE:
            async with self._connections.transaction() as connection:
                removed = await connection.fetchval(_QUERIES["expire_jobs"], keep, _EXPIRED_AT_ONCE)
            if removed:
                log.info("jobs are forgotten", jobs=removed, over_for_d=keep.days)

    async def jobs(self, *, before: int, model: str, running: bool, limit: int) -> list[Job]:
        """Return jobs with ids below `before`, the latest first. model: empty for every one."""
        return [_job(row) for row in await self._fetch("jobs", before, model, running, limit)]

    async def events(self, id_: int, *, before: int, limit: int) -> list[PastEvent]:
        """Return the history of a job, from the event before that number on, the latest first."""
        return [
            PastEvent(row["number"], row["create_time"], Event(row["type"], row["reason"], row["client"]))
            for row in await self._fetch("events", id_, before, limit)
        ]

    async def position(self) -> Position:
        """Return the place of the last change."""
        return Position(*(await self._fetch("position"))[0])

    async def changed_since(self, sequence: int, *, limit: int) -> Sequence[Changed[Job]]:
        """Return what changed since, in the order of the last changes."""
        return [Changed(_job(row), row["sequence"]) for row in await self._fetch("changed_since", sequence, limit)]

    def wakes(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed, until the connection ends; then raise Unavailable."""
        return self._connections.notices(CHANNEL)

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(lambda connection: connection.fetch(_QUERIES[query], *arguments))


async def _changed(connection: Any, id_: int, decide: Decide) -> Job:
    row = await connection.fetchrow(_QUERIES["job"], id_)
    before, now = _existing(row, id_), row["read_time"]
    after = decide(before, now)
    if after.job == before and not after.events:
        return before
    return await _save(connection, before, after, now, await connection.fetchval(_QUERIES["advance"]))


async def _save(connection: Any, before: Job, after: Transition, now: datetime, sequence: int) -> Job:
    job = replace(after.job, revision=before.revision + 1)
    arguments = (job.id, before.revision, job.state.value, job_json(job), sequence)
    if await connection.fetchval(_QUERIES["update"], *arguments) is None:
        raise Aborted(f"{job.name} changed meanwhile: read it again", reason="SCORING_JOB_CHANGED")
    await _tell(connection, job, after.events, now)
    return job


async def _tell(connection: Any, job: Job, events: Sequence[Event], now: datetime) -> None:
    """Store events of a job, enqueue their notifications and wake the watchers."""
    for event in events:
        arguments = (job.id, now, event.type, event.reason, event.client)
        number = await connection.fetchval(_QUERIES["insert_event"], *arguments)
        await notices.tell(connection, job, number, event, now)
    await connection.execute(_QUERIES["wake"])


def _existing(row: Any, id_: int) -> Job:
    if row is None:
        raise NotFound(f"there is no scoring job {id_}", reason="SCORING_JOB_NOT_FOUND")
    return _job(row)


def _repeated(found: Sequence[Any], request: Request) -> Job | None:
    if not found:
        return None
    if found[0]["fingerprint"] != request.fingerprint:
        raise AlreadyExists(f"request_id '{request.id}' was used for another job", reason="REQUEST_ID_REUSED")
    return _job(found[0])


def _job(row: Any) -> Job:
    return replace(job_of(row["document"]), revision=row["revision"])


def _done(row: Any) -> Done:
    result = result_of(row["result"])
    return Done(
        shard_of(row["document"]),
        rows=result.rows,
        rejected=result.rejected,
        key=result.key,
        sha256=result.sha256,
        size_bytes=result.size_bytes,
        rejected_key=result.rejected_key,
        rejected_sha256=result.rejected_sha256,
    )
