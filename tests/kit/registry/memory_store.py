"""The store in memory: for tests, and for reading what the Protocol means without SQL. Gone with the process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from headrace_registry.decisions.approvals import PromotionRequest, RequestState
from headrace_registry.decisions.files import ArtifactType, Blob, ContentUse, Upload
from headrace_registry.decisions.model_lists import ModelQuery, Place, place_of
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
from headrace_servicekit.clock import Clock, SystemClock
from headrace_servicekit.coordination.feeds import Position
from headrace_servicekit.coordination.wakeup import Wakeup

from tests.kit.registry.memory_tables import Stored, Tables
from tests.kit.registry.memory_transaction import MemoryTransaction


class MemoryStore:
    """Everything in dictionaries; transactions one at a time."""

    def __init__(
        self, clock: Clock | None = None, *, incarnation: UUID | None = None, begin_time: datetime | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self.incarnation = incarnation or uuid4()
        self._begin_time = begin_time or self._clock.now()
        self._tables = Tables()
        self._writing = asyncio.Lock()
        self._changed = Wakeup()

    @asynccontextmanager
    async def transaction(self, *, validate_only: bool = False) -> AsyncIterator[MemoryTransaction]:
        async with self._writing:
            tables = self._tables.copy()
            transaction = MemoryTransaction(tables, self.incarnation, self._clock)
            yield transaction
            if validate_only:
                return
            self._tables = tables
        if transaction.changed:
            self._changed.wake()

    async def model(self, name: str) -> Model | None:
        return self._tables.model(name, self.incarnation) if self._tables.live(name) else None

    async def models(self, query: ModelQuery, *, after: Place | None, limit: int) -> list[Model]:
        live = [name for name in sorted(self._tables.models) if self._tables.live(name)]
        found = [model for name in live if (model := self._tables.model(name, self.incarnation)) is not None]
        if query.latest_first:
            found.sort(key=place_of, reverse=True)
        return [one for one in found if query.accepts(one) and (after is None or query.is_behind(one, after))][:limit]

    async def version(self, ref: VersionRef) -> Version | None:
        return self._tables.version(ref)

    async def versions(self, model: str, *, before: int | None, limit: int, stage: Stage | None) -> list[Version]:
        found = (
            version
            for version in self._tables.newest_first(model)
            if (before is None or version.epoch < before) and (stage is None or version.stage is stage)
        )
        return list(itertools.islice(found, limit))

    async def events(self, model: str, *, before: tuple[int, int] | None, limit: int) -> list[Event]:
        found = (
            event
            for event in reversed(self._tables.events.get(model, ()))
            if before is None or (event.epoch, event.ordinal) < before
        )
        return list(itertools.islice(found, limit))

    async def blob(self, sha256: str, kind: ArtifactType) -> Blob | None:
        return self._tables.blob(sha256, kind)

    async def touch_blob(self, sha256: str, kind: ArtifactType, now: datetime) -> Blob | None:
        async with self._writing:
            blob = self._tables.blob(sha256, kind)
            if blob is not None:
                touched = max(now, self._tables.blobs[sha256, kind].touch_time)
                self._tables.blobs[sha256, kind] = Stored(blob, touched)
            return blob

    async def put_blob(self, blob: Blob, now: datetime) -> None:
        async with self._writing:
            known = self._tables.blobs.get((blob.sha256, blob.type), Stored(blob, now))
            self._tables.blobs[blob.sha256, blob.type] = Stored(known.blob, max(now, known.touch_time))

    async def open_upload(self, upload: Upload) -> None:
        async with self._writing:
            known = self._tables.uploads.get(upload.id)
            self._tables.uploads[upload.id] = (
                upload if known is None else replace(known, sha256=upload.sha256, completed=upload.completed)
            )

    async def upload(self, upload_id: UUID) -> Upload | None:
        return self._tables.uploads.get(upload_id)

    async def staged_uploads(self, now: datetime, client: str) -> tuple[int, int]:
        uploads = self._tables.uploads.values()
        clients = [one.client for one in uploads if one.staged and not one.completed and one.expire_time > now]
        return len(clients), clients.count(client)

    async def close_upload(self, upload_id: UUID) -> None:
        async with self._writing:
            self._tables.uploads.pop(upload_id, None)

    async def expired_uploads(self, now: datetime, *, limit: int) -> list[Upload]:
        found = [upload for upload in self._tables.uploads.values() if upload.expire_time <= now]
        return sorted(found, key=lambda upload: upload.expire_time)[:limit]

    async def contents(self, now: datetime, *, after: str, limit: int) -> list[ContentUse]:
        shas = sorted({sha for (sha, _), item in self._tables.blobs.items() if item.collect_time is None})
        return [self._tables.content_use(sha, now) for sha in shas if sha > after][:limit]

    async def stored(self, sha256s: Sequence[str]) -> set[str]:
        return {sha for (sha, _), item in self._tables.blobs.items() if sha in sha256s and item.collect_time is None}

    async def holds(self, model: str, now: datetime, *, after: tuple[str, str], limit: int) -> list[Hold]:
        found = self._tables.holds_of(model, now)
        return [hold for hold in found if (hold.ref.version, hold.holder) > after][:limit]

    async def promotion_requests(
        self, model: str, state: RequestState | None, *, after: tuple[str, int], limit: int
    ) -> list[PromotionRequest]:
        found = [
            one
            for (owner, number), one in sorted(
                self._tables.promotion_requests.items(), key=lambda item: _place(*item[0])
            )
            if self._tables.live(owner)
            and (not model or owner == model)
            and (state is None or one.state is state)
            and _place(owner, number) > _place(*after)
        ]
        return found[:limit]

    async def promotion_request(self, model: str, number: int) -> PromotionRequest | None:
        return self._tables.promotion_requests.get((model, number)) if self._tables.live(model) else None

    async def measurements(self, ref: VersionRef, *, before: int | None, limit: int) -> list[Measurement]:
        found = reversed(self._tables.measurements.get(ref, ()))
        return [measurement for measurement in found if before is None or measurement.number < before][:limit]

    async def last_words(self, model: str, until: datetime) -> list[Event]:
        last: dict[tuple[str, str], Event] = {}
        for event in self._tables.events.get(model, ()):
            if event.create_time <= until:
                subject = ("version", event.version) if event.to_stage is not None else ("alias", event.alias)
                last[subject] = event
        return list(last.values())

    async def position(self) -> Position:
        return Position(self.incarnation, self._tables.sequence)

    async def begin_time(self) -> datetime:
        return self._begin_time

    async def states(self, *, after: str, limit: int) -> list[ModelState]:
        tables = self._tables
        names = sorted(name for name in tables.models if name > after and tables.live(name))
        return [self._state(tables, name) for name in names[:limit]]

    async def changed_since(self, sequence: int, *, limit: int) -> list[ModelState]:
        tables = self._tables
        changed = sorted((number, name) for name, number in tables.sequences.items() if number > sequence)
        return [self._state(tables, name) for _, name in changed[:limit]]

    async def wakes(self) -> AsyncIterator[None]:
        while True:
            count = self._changed.count
            yield None
            await self._changed.after(count)

    async def expire_requests(self, before: datetime, *, limit: int) -> int:
        async with self._writing:
            requests = self._tables.requests
            old = [key for key, request in requests.items() if request.create_time < before][:limit]
            for key in old:
                del requests[key]
            return len(old)

    async def put_pools(self, pools: Sequence[PoolFormats]) -> None:
        async with self._writing:
            self._tables.pools = {pool.name: pool for pool in pools}

    async def expire_holds(self, before: datetime) -> None:
        async with self._writing:
            holds = self._tables.holds
            self._tables.holds = {key: hold for key, hold in holds.items() if hold.expire_time >= before}

    async def check(self) -> None:
        pass

    def _state(self, tables: Tables, name: str) -> ModelState:
        model = tables.model(name, self.incarnation)
        assert model is not None
        return ModelState(model, tuple(tables.kept(name)), tables.sequences[name])


def _place(model: str, number: int) -> tuple[str, int]:
    """Return the order of requests: by model, the latest first."""
    return model, -number
