"""One change in PostgreSQL: SQL is in `sql/queries.sql`, here are only its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import RETRY_AFTER_S
from headrace_servicekit.postgres.sql import load_queries

from headrace_registry.decisions.approvals import PromotionRequest
from headrace_registry.decisions.files import ArtifactType, Blob, ContentUse
from headrace_registry.decisions.models import (
    Event,
    Hold,
    Measurement,
    Model,
    ModelState,
    PoolFormats,
    ServingSettings,
    Stage,
    Version,
    VersionRef,
)
from headrace_registry.storage import notices, rows
from headrace_registry.storage.documents import (
    APPROVALS,
    COMPOSITION,
    CONTRACT,
    GATES,
    METRICS,
    OUTCOME,
    PROMOTION_REQUEST,
    SERVING,
    SERVING_CHANGE,
    TEXTS,
)
from headrace_registry.storage.store import Answered, Outcome

_SQL = load_queries("headrace_registry.storage.sql")


class PostgresTransaction:
    """A transaction on one connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def now(self) -> datetime:
        return (await self._connection.fetch(_SQL["now"]))[0]["now"]

    async def claim(self, client: str, request_id: str, fingerprint: bytes, now: datetime) -> Answered | None:
        if await self._connection.fetchval(_SQL["claim_request"], client, request_id, fingerprint, now):
            return None
        row = await self._connection.fetchrow(_SQL["answered_request"], client, request_id)
        if row is None:  # forgotten between the two statements
            raise Unavailable("the request id is being forgotten: try again", retry_after_s=RETRY_AFTER_S)
        return Answered(row["fingerprint"], OUTCOME.read(row["outcome"]))

    async def remember(self, client: str, request_id: str, outcome: Outcome) -> None:
        await self._connection.execute(_SQL["remember_request"], client, request_id, OUTCOME.write(outcome))

    async def open_model(self, name: str, now: datetime) -> Model:
        await self._connection.execute(_SQL["make_model"], name, now)
        await self._connection.execute(_SQL["lock_model"], name)
        return await self._locked_model(name)

    async def lock_model(self, name: str) -> Model | None:
        if not await self._connection.fetchval(_SQL["lock_model"], name):
            return None
        return await self._locked_model(name)

    async def _locked_model(self, name: str) -> Model:
        return rows.model(await self._connection.fetchrow(_SQL["model"], name))

    async def version(self, ref: VersionRef) -> Version | None:
        return rows.version(await self._connection.fetchrow(_SQL["version"], ref.model, ref.version))

    async def state(self, name: str) -> ModelState | None:
        model = await self.lock_model(name)
        if model is None:
            return None
        return ModelState(
            model, tuple(rows.versions(await self._connection.fetch(_SQL["versions_of_models"], [name]))), 0
        )

    async def blob(self, sha256: str, kind: ArtifactType) -> Blob | None:
        return rows.blob(await self._connection.fetchrow(_SQL["lock_blob"], sha256, kind))

    async def insert_version(self, version: Version) -> None:
        ref, lineage = version.ref, version.lineage
        await self._connection.execute(
            _SQL["insert_version"],
            *(ref.model, ref.version, version.stage, version.epoch, version.description),
            *(METRICS.write(version.metrics), TEXTS.write(version.parameters)),
            *(lineage.parent_version, lineage.run, lineage.dataset, lineage.code_revision),
            *(CONTRACT.write(version.contract), SERVING.write(version.serving)),
            *(version.signature_hash, version.digest, version.created_by, version.create_time, version.format),
            None if version.composition is None else COMPOSITION.write(version.composition),
        )
        await self._connection.executemany(
            _SQL["insert_artifact"],
            [
                (ref.model, ref.version, ordinal, artifact.name, artifact.type, artifact.sha256)
                for ordinal, artifact in enumerate(version.artifacts)
            ],
        )

    async def move(self, ref: VersionRef, stage: Stage) -> None:
        await self._connection.execute(_SQL["move_version"], ref.model, ref.version, stage)

    async def set_serving(self, ref: VersionRef, settings: ServingSettings, revision: int) -> None:
        await self._connection.execute(_SQL["set_serving"], ref.model, ref.version, SERVING.write(settings), revision)

    async def set_alias(self, ref: VersionRef, alias: str) -> None:
        await self._connection.execute(_SQL["set_alias"], ref.model, alias, ref.version)

    async def delete_alias(self, model: str, alias: str) -> None:
        await self._connection.execute(_SQL["delete_alias"], model, alias)

    async def last_measured_by(self, ref: VersionRef, process: str) -> dict[str, float]:
        rows = await self._connection.fetch(_SQL["last_measured_by"], ref.model, ref.version, process)
        return {row["name"]: row["value"] for row in rows}

    async def insert_measurements(self, ref: VersionRef, measurements: Sequence[Measurement]) -> None:
        await self._connection.executemany(
            _SQL["insert_measurement"],
            [(ref.model, ref.version, m.name, m.value, m.source_process, m.create_time) for m in measurements],
        )

    async def collect_versions(self, model: str, versions: Sequence[str] | None, now: datetime) -> None:
        await self._connection.execute(_SQL["collect_versions"], model, versions, now)

    async def holds(self, model: str, now: datetime) -> list[Hold]:
        return [rows.hold(row) for row in await self._connection.fetch(_SQL["holds"], model, now, "", "", None)]

    async def pools(self) -> list[PoolFormats]:
        return [rows.pool(row) for row in await self._connection.fetch(_SQL["pools"])]

    async def put_hold(self, hold: Hold) -> None:
        await self._connection.execute(
            _SQL["put_hold"],
            *(hold.ref.model, hold.ref.version, hold.holder, hold.reason, hold.client),
            *(hold.create_time, hold.expire_time),
        )

    async def delete_hold(self, ref: VersionRef, holder: str) -> None:
        await self._connection.execute(_SQL["delete_hold"], ref.model, ref.version, holder)

    async def promotion_request(self, model: str, number: int) -> PromotionRequest | None:
        return rows.promotion_request(await self._connection.fetchrow(_SQL["promotion_request"], model, number))

    async def open_promotion_requests(self, model: str) -> list[PromotionRequest]:
        return rows.promotion_requests(await self._connection.fetch(_SQL["open_promotion_requests"], model))

    async def put_promotion_request(self, request: PromotionRequest) -> None:
        arguments = (request.ref.model, request.number, request.state, request.state.over)
        await self._connection.execute(_SQL["put_promotion_request"], *arguments, PROMOTION_REQUEST.write(request))

    async def content_use(self, sha256: str, now: datetime) -> ContentUse:
        await self._connection.execute(_SQL["lock_content"], sha256)
        await self._connection.execute(_SQL["lock_content_rows"], sha256)
        return rows.content_use(await self._connection.fetchrow(_SQL["content_use"], sha256, now))

    async def delete_content(self, sha256: str, now: datetime) -> None:
        await self._connection.execute(_SQL["delete_unnamed_content"], sha256)
        await self._connection.execute(_SQL["delete_named_content"], sha256, now)

    async def save(self, model: Model, events: Sequence[Event]) -> None:
        await self._connection.executemany(
            _SQL["insert_event"],
            [
                (
                    *(model.name, event.epoch, event.ordinal, event.action, event.version),
                    *(event.from_stage, event.to_stage, event.alias, event.client, event.reason, event.create_time),
                    list(event.signature_breaks),
                    None if event.serving_change is None else SERVING_CHANGE.write(event.serving_change),
                    event.promotion_request,
                )
                for event in events
            ],
        )
        if events:
            await notices.enqueue_events(self._connection, self, model, events)
        await self._connection.execute(
            _SQL["save_model"],
            *(model.name, model.description, TEXTS.write(model.labels)),
            None if model.gates is None else GATES.write(model.gates),
            *(list(model.rollback_targets), model.epoch, model.update_time, model.delete_time),
            None if model.approvals is None else APPROVALS.write(model.approvals),
            model.max_unpromoted_share,
        )
