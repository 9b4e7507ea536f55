"""The tables of the store in memory, and what reads join from them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from uuid import UUID

from headrace_registry.decisions.approvals import PromotionRequest
from headrace_registry.decisions.files import ArtifactType, Blob, ContentUse, Upload
from headrace_registry.decisions.models import (
    Event,
    Hold,
    Measurement,
    Metric,
    MetricSource,
    Model,
    PoolFormats,
    Stage,
    Version,
    VersionRef,
)
from headrace_registry.storage.store import Outcome


@dataclass(slots=True)
class Request:
    fingerprint: bytes
    create_time: datetime
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob, when it was uploaded last, and when its bytes were removed."""

    blob: Blob
    touch_time: datetime
    collect_time: datetime | None = None


@dataclass(slots=True)
class Tables:
    """All of the store. Values are frozen, so that a shallow copy is a snapshot."""

    sequence: int = 0
    models: dict[str, Model] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    versions: dict[VersionRef, Version] = field(default_factory=dict)
    events: dict[str, tuple[Event, ...]] = field(default_factory=dict)
    blobs: dict[tuple[str, ArtifactType], Stored] = field(default_factory=dict)
    requests: dict[tuple[str, str], Request] = field(default_factory=dict)
    measurements: dict[VersionRef, tuple[Measurement, ...]] = field(default_factory=dict)
    holds: dict[tuple[VersionRef, str], Hold] = field(default_factory=dict)
    uploads: dict[UUID, Upload] = field(default_factory=dict)
    pools: dict[str, PoolFormats] = field(default_factory=dict)
    promotion_requests: dict[tuple[str, int], PromotionRequest] = field(default_factory=dict)

    def copy(self) -> Tables:
        copied = {spec.name: dict(getattr(self, spec.name)) for spec in fields(self) if spec.name != "sequence"}
        copied["requests"] = {key: replace(request) for key, request in self.requests.items()}
        return Tables(self.sequence, **copied)

    def model(self, name: str, incarnation: UUID) -> Model | None:
        """Return a model, deleted or not, with what other tables know of it."""
        model = self.models.get(name)
        if model is None:
            return None
        production = [
            ref.version
            for ref, version in self.versions.items()
            if ref.model == name and version.stage is Stage.PRODUCTION
        ]
        aliases = {alias: version for (owner, alias), version in sorted(self.aliases.items()) if owner == name}
        return replace(model, production="".join(production), aliases=aliases, incarnation=incarnation)

    def live(self, name: str) -> bool:
        """Return whether a model exists and is not deleted."""
        return name in self.models and self.models[name].delete_time is None

    def version(self, ref: VersionRef) -> Version | None:
        """Return a version of a model that exists, with what was measured on it."""
        version = self.versions.get(ref)
        if version is None or not self.live(ref.model):
            return None
        last = {m.name: Metric(m.name, m.value, MetricSource.MEASURED) for m in self.measurements.get(ref, ())}
        return replace(version, measured=tuple(last[name] for name in sorted(last)))

    def newest_first(self, model: str) -> list[Version]:
        found = [version for ref in self.versions if ref.model == model and (version := self.version(ref)) is not None]
        return sorted(found, key=lambda version: version.epoch, reverse=True)

    def kept(self, model: str) -> list[Version]:
        """Return the versions whose files are kept, newest first."""
        return [version for version in self.newest_first(model) if version.collect_time is None]

    def blob(self, sha256: str, kind: ArtifactType) -> Blob | None:
        stored = self.blobs.get((sha256, kind))
        return None if stored is None or stored.collect_time is not None else stored.blob

    def holds_of(self, model: str, now: datetime) -> list[Hold]:
        found = [hold for (ref, _), hold in self.holds.items() if ref.model == model and hold.expire_time > now]
        return sorted(found, key=lambda hold: (hold.ref.version, hold.holder))

    def content_use(self, sha256: str, now: datetime) -> ContentUse:
        stored = [item for (sha, _), item in self.blobs.items() if sha == sha256]
        naming = [v for v in self.versions.values() if any(artifact.sha256 == sha256 for artifact in v.artifacts)]
        return ContentUse(
            sha256,
            max((item.blob.size_bytes for item in stored), default=0),
            max((item.touch_time for item in stored), default=None),
            collected=bool(stored) and all(item.collect_time is not None for item in stored),
            needed=any(version.collect_time is None for version in naming),
            given_up_time=max((v.collect_time for v in naming if v.collect_time is not None), default=None),
            uploading=any(up.sha256 == sha256 and up.expire_time > now for up in self.uploads.values()),
        )
