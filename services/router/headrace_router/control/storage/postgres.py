"""The store in PostgreSQL: what each method promises is said in store.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID

import orjson
import structlog
from headrace_servicekit.postgres.connections import BEGIN_SNAPSHOT, Connections
from headrace_servicekit.postgres.history import History
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations, load_queries

from headrace_router.control.decisions.acks import DataPlane
from headrace_router.control.decisions.demand import Lease
from headrace_router.control.decisions.readiness import Report
from headrace_router.control.decisions.states import Announcement, Outcome, Step
from headrace_router.control.storage import documents
from headrace_router.control.storage.store import (
    ChangeRecord,
    Conflict,
    Entry,
    News,
    Record,
    Request,
    RequestUsed,
    StoredVersion,
)

log = structlog.get_logger()

T = TypeVar("T")

_SQL = "headrace_router.control.storage.sql"
HISTORY = History("model", ("number", "ended"), _SQL, "routes")
_CHANNEL = "router_control"


class PostgresStore:
    """Enter it before use; opening needs no server, `migrate` does.

    connections: also for what else is in the database.
    """

    def __init__(self, connections: Connections) -> None:
        self.connections = self._connections = connections
        self._sql = load_queries(_SQL)
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._resources.enter_async_context(self._connections)
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self._resources.aclose()

    async def migrate(self) -> None:
        """Bring the database to the schema of this code. Raises Unavailable and StartError."""
        async with self._connections.alone() as connection:
            await migrate(connection, load_migrations(_SQL))

    async def news(self, revision: int, generation: int) -> News:
        async with self._connections.transaction(begin=BEGIN_SNAPSHOT) as connection:
            store = await connection.fetchrow(self._sql["store"])
            records = await connection.fetch(self._sql["records_after"], revision)
            entries = await connection.fetch(self._sql["entries_after"], generation)
            with self._connections.reading():
                return News(
                    str(store["incarnation"]),
                    store["newest_generation"],
                    tuple(_record(row) for row in records),
                    tuple(_entry(row) for row in entries),
                )

    async def entries_in_use(self, oldest: int) -> tuple[Entry, ...]:
        return await self._read("entries_in_use", _entry, oldest)

    async def commit(self, revision: int | None, step: Step, now: datetime, request: Request | None = None) -> Record:
        state, model = step.state, step.state.model
        async with self._connections.transaction() as connection:
            # The route before the numbers: waiting for the route's lock then delays no other route.
            if revision is not None and await connection.fetchval(self._sql["lock_route"], model) != revision:
                raise Conflict(model)
            number = None
            if step.announcement is None:
                next_revision = await connection.fetchval(self._sql["next_revision"])
            else:
                next_revision, number = await connection.fetchrow(self._sql["next_revision_and_generation"])
                if step.announcement is Announcement.TABLE and state.active is not None:
                    state = replace(state, active=replace(state.active, number=number))
            document = _dumps(documents.state_to_document(state))
            if revision is None:
                if await connection.fetchval(self._sql["insert_route"], model, next_revision, document) is None:
                    raise Conflict(model)
            else:
                await connection.execute(self._sql["update_route"], model, next_revision, document)
            await self._write_changes(connection, step, number, now)
            if number is not None and step.announcement is not None:
                table = state.active if step.announcement is Announcement.TABLE else None
                generation = _dumps(documents.generation_to_document(table)) if table is not None else None
                await connection.execute(
                    self._sql["insert_entry"], number, model, step.announcement.value, state.salt, generation
                )
            if request is not None:
                await self._write_request(connection, request)
            await connection.execute("select pg_notify($1, '')", _CHANNEL)
        return Record(next_revision, state)

    async def change(self, change_id: UUID) -> ChangeRecord | None:
        found = await self._read("change", _change, change_id)
        return found[0] if found else None

    async def changes(self, model: str, limit: int, before: int | None = None) -> tuple[ChangeRecord, ...]:
        return await self._read("changes", _change, model, limit, before)

    async def request(self, client: str, request_id: str) -> Request | None:
        def request(row: Any) -> Request:
            return Request(client, request_id, row["fingerprint"], row["change"], row["version"])

        found = await self._read("request", request, client, request_id)
        return found[0] if found else None

    async def put_versions(self, versions: Sequence[StoredVersion]) -> None:
        rows = [(v.digest, v.model, v.version, v.resolved) for v in versions]
        await self._connections.repeatable(lambda connection: connection.executemany(self._sql["put_version"], rows))

    async def versions(self, digests: Iterable[str]) -> tuple[StoredVersion, ...]:
        def version(row: Any) -> StoredVersion:
            return StoredVersion(row["digest"], row["model"], row["version"], row["resolved"])

        return await self._read("versions", version, list(digests))

    async def put_report(self, report: Report, lease: timedelta) -> None:
        held = {digest: documents.held_to_document(one) for digest, one in sorted(report.versions.items())}
        occupancy = _dumps(documents.occupancy_to_document(report.occupancy))
        await self._fetch("put_report", report.process, report.pool, report.address, _dumps(held), lease, occupancy)

    async def reports(self, now: datetime) -> tuple[Report, ...]:
        return await self._read("reports", lambda row: _report(row, now))

    async def acknowledge(self, incarnation: str, data_plane: str, generation: int) -> None:
        ((noted,),) = await self._fetch("acknowledge", data_plane, generation, incarnation)
        if not noted:
            raise Conflict(incarnation)

    async def data_planes(self, now: datetime) -> tuple[DataPlane, ...]:
        def data_plane(row: Any) -> DataPlane:
            return DataPlane(row["id"], row["acknowledged"], row["first_seen"], now - row["unseen"])

        return await self._read("data_planes", data_plane)

    async def touch(self, data_planes: Iterable[str]) -> None:
        await self._fetch("touch", list(data_planes))

    async def put_lease(self, lease: Lease, ttl: timedelta) -> None:
        key = (lease.pool, lease.digest, lease.holder)
        if ttl > timedelta(0):
            await self._fetch("put_lease", *key, lease.model, lease.version, ttl)
        else:
            await self._fetch("drop_lease", *key)

    async def leases(self, now: datetime) -> tuple[Lease, ...]:
        def lease(row: Any) -> Lease:
            return Lease(row["model"], row["version"], row["digest"], row["pool"], row["holder"], now + row["left"])

        return await self._read("leases", lease)

    async def sweep(self, reports: timedelta, requests: timedelta, data_planes: timedelta) -> None:
        await self._fetch("sweep_reports", reports)
        await self._fetch("sweep_leases", reports)
        await self._fetch("sweep_requests", requests)
        await self._fetch("sweep_data_planes", data_planes)

    def wakes(self) -> AsyncIterator[None]:
        return self._connections.notices(_CHANNEL)

    async def renew_incarnation(self) -> str:
        async with self._connections.transaction() as connection:
            incarnation = await connection.fetchval(self._sql["renew_incarnation"])
            await connection.execute(self._sql["expire_acknowledgements"])
            await connection.execute("select pg_notify($1, '')", _CHANNEL)
        return str(incarnation)

    async def ping(self) -> None:
        await self._connections.repeatable(lambda connection: connection.execute("select 1"))

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Run one query that is safe to repeat."""
        return await self._connections.repeatable(lambda connection: connection.fetch(self._sql[query], *arguments))

    async def _read(self, query: str, read: Callable[[Any], T], *arguments: Any) -> tuple[T, ...]:
        """Run one query that is safe to repeat, and read its rows: what cannot be read is Unavailable."""

        async def act(connection: Any) -> tuple[T, ...]:
            return tuple(read(row) for row in await connection.fetch(self._sql[query], *arguments))

        return await self._connections.repeatable(act)

    async def _write_changes(self, connection: Any, step: Step, number: int | None, now: datetime) -> None:
        for change in step.began:
            await connection.execute(
                self._sql["insert_change"],
                change.id,
                step.state.model,
                change.kind.value,
                change.writer.client if change.writer is not None else "",
                change.writer.reason if change.writer is not None else "",
                _dumps(documents.change_to_document(change)),
                change.begun_at,
            )
        for ended in step.ended:
            await connection.execute(
                self._sql["end_change"],
                ended.change.id,
                _dumps(documents.change_to_document(ended.change)),
                ended.outcome.value,
                ended.reason,
                number if ended.outcome is Outcome.ACTIVE else None,
                now,
            )

    async def _write_request(self, connection: Any, request: Request) -> None:
        written = await connection.fetchval(
            self._sql["insert_request"],
            request.client,
            request.request_id,
            request.fingerprint,
            request.change,
            request.version,
        )
        if written is None:
            raise RequestUsed(request.request_id)


def _dumps(document: Any) -> str:
    return orjson.dumps(document).decode()


def _record(row: Any) -> Record:
    return Record(row["revision"], documents.state_from_document(orjson.loads(row["state"])))


def _entry(row: Any) -> Entry:
    document = row["generation"]
    generation = documents.generation_from_document(orjson.loads(document)) if document is not None else None
    announcement = Announcement(row["told"])
    if announcement is Announcement.TABLE and generation is None:
        raise ValueError("an entry tells of a table and has none")
    return Entry(row["number"], row["model"], announcement, row["salt"], generation)


def _change(row: Any) -> ChangeRecord:
    change = documents.change_from_document(orjson.loads(row["change"]))
    outcome = Outcome(row["outcome"]) if row["outcome"] is not None else None
    return ChangeRecord(
        change, row["model"], outcome, row["outcome_reason"], row["generation"], row["number"], row["ended_at"]
    )


def _report(row: Any, now: datetime) -> Report:
    versions = {digest: documents.held_from_document(one) for digest, one in orjson.loads(row["versions"]).items()}
    occupancy = documents.occupancy_from_document(orjson.loads(row["occupancy"]))
    return Report(row["pool"], row["process"], row["address"], now + row["left"], versions, occupancy)
