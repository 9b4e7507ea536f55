"""A transaction of the store in memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

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
from headrace_registry.storage.store import Answered, Outcome
from headrace_servicekit.clock import Clock

from tests.kit.registry.memory_tables import Request, Tables


class MemoryTransaction:
    """A transaction on a copy of the tables."""

    def __init__(self, tables: Tables, incarnation: UUID, clock: Clock) -> None:
        self._tables, self._incarnation, self._clock = tables, incarnation, clock
        self.changed = False

    async def now(self) -> datetime:
        return self._clock.now()

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

    async def set_serving(self, ref: VersionRef, settings: ServingSettings, revision: int) -> None:
        version = self._tables.versions[ref]
        self._tables.versions[ref] = replace(version, serving=settings, serving_revision=revision)

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

    async def pools(self) -> list[PoolFormats]:
        return sorted(self._tables.pools.values(), key=lambda pool: pool.name)

    async def put_hold(self, hold: Hold) -> None:
        self._tables.holds[hold.ref, hold.holder] = hold

    async def delete_hold(self, ref: VersionRef, holder: str) -> None:
        self._tables.holds.pop((ref, holder), None)

    async def promotion_request(self, model: str, number: int) -> PromotionRequest | None:
        return self._tables.promotion_requests.get((model, number))

    async def open_promotion_requests(self, model: str) -> list[PromotionRequest]:
        found = [one for (owner, _), one in sorted(self._tables.promotion_requests.items()) if owner == model]
        return [one for one in found if not one.state.over]

    async def put_promotion_request(self, request: PromotionRequest) -> None:
        self._tables.promotion_requests[request.ref.model, request.number] = request

    async def content_use(self, sha256: str, now: datetime) -> ContentUse:
        return self._tables.content_use(sha256, now)

    async def delete_content(self, sha256: str, now: datetime) -> None:
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
