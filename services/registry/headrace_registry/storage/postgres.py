"""The store in PostgreSQL. SQL is in `sql/queries.sql`; here are only its arguments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from headrace_servicekit.coordination.feeds import Position
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import RETRY_AFTER_S, Connections
from headrace_servicekit.postgres.history import History
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations, load_queries

from headrace_registry.decisions.approvals import PromotionRequest, RequestState
from headrace_registry.decisions.files import ArtifactType, Blob, ContentUse, Upload
from headrace_registry.decisions.model_lists import ModelQuery, Place
from headrace_registry.decisions.models import (
    Event,
    Hold,
    Measurement,
    Model,
    ModelState,
    PoolFormats,
    Stage,
    Version,
    VersionRef,
)
from headrace_registry.storage import rows
from headrace_registry.storage.documents import MODEL_FILE
from headrace_registry.storage.postgres_transaction import PostgresTransaction

_CHANNEL = "headrace_registry"

_RESOURCES = "headrace_registry.storage.sql"
_SQL = load_queries(_RESOURCES)


class PostgresStore:
    """Everything in one database. It migrates it first: until then, and while it is down, calls raise Unavailable."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._migrated = False

    async def migrate(self) -> None:
        """Bring the database to the schema of this code, unless that is done."""
        if not self._migrated:
            async with self._connections.alone() as connection:
                await migrate(connection, load_migrations(_RESOURCES))
            self._migrated = True

    @asynccontextmanager
    async def transaction(self, *, validate_only: bool = False) -> AsyncIterator[PostgresTransaction]:
        self._check_prepared()
        async with self._connections.transaction(validate_only=validate_only) as connection:
            yield PostgresTransaction(connection)

    async def model(self, name: str) -> Model | None:
        row = await self._row("model", name)
        return None if row is None or row["delete_time"] is not None else rows.model(row)

    async def models(self, query: ModelQuery, *, after: Place | None, limit: int) -> list[Model]:
        if query.latest_first:
            found = await self._rows("latest_models", *(after or (None, None)), limit, query.containing)
        else:
            found = await self._rows("models", "" if after is None else after[1], limit, query.containing)
        return [rows.model(row) for row in found]

    async def version(self, ref: VersionRef) -> Version | None:
        return rows.version(await self._row("version", ref.model, ref.version))

    async def versions(self, model: str, *, before: int | None, limit: int, stage: Stage | None) -> list[Version]:
        return rows.versions(await self._rows("versions", model, before, limit, stage))

    async def events(self, model: str, *, before: tuple[int, int] | None, limit: int) -> list[Event]:
        epoch, ordinal = before or (None, None)
        return [rows.event(row) for row in await self._rows("events", model, epoch, ordinal, limit)]

    async def blob(self, sha256: str, kind: ArtifactType) -> Blob | None:
        return rows.blob(await self._row("blob", sha256, kind))

    async def touch_blob(self, sha256: str, kind: ArtifactType, now: datetime) -> Blob | None:
        self._check_prepared()
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["lock_content"], sha256)
            return rows.blob(await connection.fetchrow(_SQL["touch_blob"], sha256, kind, now))

    async def put_blob(self, blob: Blob, now: datetime) -> None:
        self._check_prepared()
        model_file = None if blob.model_file is None else MODEL_FILE.write(blob.model_file)
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["put_blob"], blob.sha256, blob.type, blob.size_bytes, model_file, now)

    async def open_upload(self, upload: Upload) -> None:
        self._check_prepared()
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["lock_content"], upload.sha256)
            await connection.execute(
                _SQL["open_upload"],
                *(upload.id, upload.sha256, upload.type, upload.size_bytes, upload.client, upload.staged),
                *(upload.create_time, upload.expire_time, upload.completed),
            )

    async def upload(self, upload_id: UUID) -> Upload | None:
        row = await self._row("upload", upload_id)
        return None if row is None else rows.upload(row)

    async def staged_uploads(self, now: datetime, client: str) -> tuple[int, int]:
        row = await self._row("staged_uploads", now, client)
        assert row is not None
        return row["open"], row["of_client"]

    async def close_upload(self, upload_id: UUID) -> None:
        self._check_prepared()
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["close_upload"], upload_id)

    async def expired_uploads(self, now: datetime, *, limit: int) -> list[Upload]:
        return [rows.upload(row) for row in await self._rows("expired_uploads", now, limit)]

    async def contents(self, now: datetime, *, after: str, limit: int) -> list[ContentUse]:
        return [rows.content_use(row) for row in await self._rows("contents", now, after, limit)]

    async def stored(self, sha256s: Sequence[str]) -> set[str]:
        return {row["sha256"] for row in await self._rows("stored_contents", list(sha256s))}

    async def holds(self, model: str, now: datetime, *, after: tuple[str, str], limit: int) -> list[Hold]:
        return [rows.hold(row) for row in await self._rows("holds", model, now, *after, limit)]

    async def promotion_requests(
        self, model: str, state: RequestState | None, *, after: tuple[str, int], limit: int
    ) -> list[PromotionRequest]:
        return rows.promotion_requests(await self._rows("promotion_requests", model, state, *after, limit))

    async def promotion_request(self, model: str, number: int) -> PromotionRequest | None:
        return rows.promotion_request(await self._row("promotion_request", model, number))

    async def measurements(self, ref: VersionRef, *, before: int | None, limit: int) -> list[Measurement]:
        return [
            rows.measurement(row) for row in await self._rows("measurements", ref.model, ref.version, before, limit)
        ]

    async def last_words(self, model: str, until: datetime) -> list[Event]:
        return [rows.event(row) for row in await self._rows("last_words", model, until)]

    async def position(self) -> Position:
        row = await self._row("position")
        assert row is not None
        return Position(row["incarnation"], row["sequence"])

    async def begin_time(self) -> datetime:
        row = await self._row("begin_time")
        assert row is not None
        return row["begin_time"]

    async def states(self, *, after: str, limit: int) -> list[ModelState]:
        return await self._states("models", after, limit, "")

    async def changed_since(self, sequence: int, *, limit: int) -> list[ModelState]:
        return await self._states("models_changed_since", sequence, limit)

    def wakes(self) -> AsyncIterator[None]:
        return self._connections.notices(_CHANNEL)

    async def expire_requests(self, before: datetime, *, limit: int) -> int:
        self._check_prepared()
        async with self._connections.transaction() as connection:
            status = await connection.execute(_SQL["expire_requests"], before, limit)
        return int(status.rpartition(" ")[2])

    async def put_pools(self, pools: Sequence[PoolFormats]) -> None:
        self._check_prepared()
        formats = [" ".join(sorted(pool.formats)) for pool in pools]
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["put_pools"], [pool.name for pool in pools], formats)

    async def expire_holds(self, before: datetime) -> None:
        self._check_prepared()
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["expire_holds"], before)

    async def check(self) -> None:
        await self._row("check")

    async def _states(self, query: str, *arguments: Any) -> list[ModelState]:
        """Read models and their versions from one snapshot, so that they agree."""

        async def read(connection: asyncpg.Connection) -> tuple[list[Any], list[Any]]:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                models = await connection.fetch(_SQL[query], *arguments)
                return models, await connection.fetch(_SQL["versions_of_models"], [row["name"] for row in models])

        self._check_prepared()
        models, found = await self._connections.repeatable(read)
        versions: dict[str, list[Version]] = {}
        for version in rows.versions(found):
            versions.setdefault(version.ref.model, []).append(version)
        return [ModelState(rows.model(row), tuple(versions.get(row["name"], ())), row["sequence"]) for row in models]

    async def _row(self, query: str, *arguments: Any) -> Any:
        self._check_prepared()
        return await self._connections.repeatable(lambda connection: connection.fetchrow(_SQL[query], *arguments))

    async def _rows(self, query: str, *arguments: Any) -> list[Any]:
        self._check_prepared()
        return await self._connections.repeatable(lambda connection: connection.fetch(_SQL[query], *arguments))

    def _check_prepared(self) -> None:
        if not self._migrated:
            raise Unavailable(
                "the registry has not reached its database yet",
                reason="DATABASE_UNAVAILABLE",
                retry_after_s=RETRY_AFTER_S,
            )


HISTORY = History("model", ("epoch", "ordinal"), "headrace_registry.storage.sql", "models")
