"""The store in memory: for tests, and for reading what the Protocol means without SQL. Gone with the process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from headrace_registry.models import (
    ArtifactType,
    Blob,
    ContentUse,
    Event,
    Hold,
    Measurement,
    Model,
    Stage,
    Upload,
    Version,
    VersionRef,
)
from headrace_registry.storage.memory_tables import Request, Stored, Tables
from headrace_registry.storage.store import Answered, ModelState, Outcome
from headrace_registry.tokens import Position


class MemoryTransaction:
    """A transaction on a copy of the tables."""

    def __init__(self, tables: Tables, incarnation: UUID) -> None:
        self._tables, self._incarnation = tables, incarnation
        self.changed = False

    async def claim(self, client: str, request_id: str, fingerprint: bytes, now: datetime) -> Answered | None:
        earlier = self._tables.requests.get((client, request_id))
        if earlier is not None and earlier.outcome is not None:
            return Answered(earlier.fingerprint, earlier.outcome)
        self._tables.requests[client, request_id] = Request(fingerprint, now)
        return None

    async def remember(self, client: str, request_id: str, outcome: Outcome) -> None:
        self._tables.requests[client, request_id].outcome = outcome

    async def open_model(self, name: str, now: datetime) -> Model:
        self._tables.models.setdefault(name, Model(name, create_time=now, update_time=now))
        model = self._tables.model(name, self._incarnation)
        assert model is not None
        return model

    async def lock_model(self, name: str) -> Model | None:
        return self._tables.model(name, self._incarnation) if self._tables.live(name) else None

    async def version(self, ref: VersionRef) -> Version | None:
        return self._tables.version(ref)

    async def state(self, name: str) -> ModelState | None:
        model = await self.lock_model(name)
        return None if model is None else ModelState(model, tuple(self._tables.kept(name)), 0)

    async def blob(self, sha256: str, kind: ArtifactType) -> Blob | None:
        return self._tables.blob(sha256, kind)

    async def insert_version(self, version: Version) -> None:
        assert version.ref not in self._tables.versions
        self._tables.versions[version.ref] = version

    async def move(self, ref: VersionRef, stage: Stage) -> None:
        self._tables.versions[ref] = replace(self._tables.versions[ref], stage=stage)
        in_production = [v for v in self._tables.newest_first(ref.model) if v.stage is Stage.PRODUCTION]
        assert len(in_production) <= 1, f"two versions of '{ref.model}' in production"

    async def set_alias(self, ref: VersionRef, alias: str) -> None:
        self._tables.aliases[ref.model, alias] = ref.version

    async def delete_alias(self, model: str, alias: str) -> None:
        self._tables.aliases.pop((model, alias), None)

    async def last_measured_by(self, ref: VersionRef, process: str) -> dict[str, float]:
        return {m.name: m.value for m in self._tables.measurements.get(ref, ()) if m.source_process == process}

    async def insert_measurements(self, ref: VersionRef, measurements: Sequence[Measurement]) -> None:
        numbers = itertools.count(1 + sum(len(known) for known in self._tables.measurements.values()))
        known = self._tables.measurements.get(ref, ())
        added = (replace(measurement, number=next(numbers)) for measurement in measurements)
        self._tables.measurements[ref] = (*known, *added)

    async def collect_versions(self, model: str, versions: Sequence[str] | None, now: datetime) -> None:
        for ref, version in self._tables.versions.items():
            if ref.model == model and version.collect_time is None and (versions is None or ref.version in versions):
                self._tables.versions[ref] = replace(version, collect_time=now)

    async def holds(self, model: str, now: datetime) -> list[Hold]:
        return self._tables.holds_of(model, now)

    async def put_hold(self, hold: Hold) -> None:
        self._tables.holds[hold.ref, hold.holder] = hold

    async def delete_hold(self, ref: VersionRef, holder: str) -> None:
        self._tables.holds.pop((ref, holder), None)

    async def content_use(self, sha256: str, now: datetime) -> ContentUse:
        return self._tables.content_use(sha256, now)

    async def forget_content(self, sha256: str, now: datetime) -> None:
        named = {(a.sha256, a.type) for version in self._tables.versions.values() for a in version.artifacts}
        for key, stored in list(self._tables.blobs.items()):
            if key[0] == sha256 and key not in named:
                del self._tables.blobs[key]
            elif key[0] == sha256:
                self._tables.blobs[key] = replace(stored, collect_time=now)

    async def save(self, model: Model, events: Sequence[Event]) -> None:
        tables = self._tables
        tables.sequence += 1
        tables.sequences[model.name] = tables.sequence
        tables.models[model.name] = replace(model, production="", aliases={})
        tables.events[model.name] = (*tables.events.get(model.name, ()), *events)
        self.changed = True


class MemoryStore:
    """Everything in dictionaries; transactions one at a time."""

    def __init__(self, incarnation: UUID | None = None, begin_time: datetime | None = None) -> None:
        self.incarnation = incarnation or uuid4()
        self._begin_time = begin_time or datetime.now(UTC)
        self._tables = Tables()
        self._writing = asyncio.Lock()
        self._wakers: set[asyncio.Event] = set()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        async with self._writing:
            tables = self._tables.copy()
            transaction = MemoryTransaction(tables, self.incarnation)
            yield transaction
            self._tables = tables
        if transaction.changed:
            for waker in self._wakers:
                waker.set()

    async def model(self, name: str) -> Model | None:
        return self._tables.model(name, self.incarnation) if self._tables.live(name) else None

    async def models(self, *, after: str, limit: int) -> list[Model]:
        tables = self._tables
        names = sorted(name for name in tables.models if name > after and tables.live(name))[:limit]
        return [model for name in names if (model := tables.model(name, self.incarnation)) is not None]

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
            self._tables.uploads[upload.id] = upload if known is None else replace(known, sha256=upload.sha256)

    async def upload(self, upload_id: UUID) -> Upload | None:
        return self._tables.uploads.get(upload_id)

    async def staged_uploads(self, now: datetime) -> int:
        return sum(upload.staged and upload.expire_time > now for upload in self._tables.uploads.values())

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
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            while True:
                yield None
                await waker.wait()
                waker.clear()
        finally:
            self._wakers.discard(waker)

    async def forget_requests(self, before: datetime, *, limit: int) -> int:
        async with self._writing:
            requests = self._tables.requests
            old = [key for key, request in requests.items() if request.create_time < before][:limit]
            for key in old:
                del requests[key]
            return len(old)

    async def forget_holds(self, before: datetime) -> None:
        async with self._writing:
            holds = self._tables.holds
            self._tables.holds = {key: hold for key, hold in holds.items() if hold.expire_time >= before}

    async def check(self) -> None:
        pass

    def _state(self, tables: Tables, name: str) -> ModelState:
        model = tables.model(name, self.incarnation)
        assert model is not None
        return ModelState(model, tuple(tables.kept(name)), tables.sequences[name])
