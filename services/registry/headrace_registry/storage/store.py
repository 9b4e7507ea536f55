"""What the registry asks of its storage. `memory` and `postgres` keep it; tests/contract holds both to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from headrace_servicekit.coordination.feeds import Position

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
    ServingSettings,
    Stage,
    Version,
    VersionRef,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write answers: the model after it and, where it concerns one, the version or the request for promotion."""

    model: Model
    version: Version | None = None
    request: PromotionRequest | None = None

    @property
    def subject(self) -> Version:
        """Return the version; for writes that concern one."""
        assert self.version is not None
        return self.version

    @property
    def promotion(self) -> PromotionRequest:
        """Return the request for promotion; for writes that concern one."""
        assert self.request is not None
        return self.request


@dataclass(frozen=True, slots=True)
class Answered:
    """A write that was done before under the same request id."""

    fingerprint: bytes
    outcome: Outcome


class Transaction(Protocol):
    """One change, whole or not at all. What it locks stays locked until it ends."""

    async def now(self) -> datetime:
        """Return the present by the store's clock, which is the same for all replicas."""
        ...

    async def claim(self, client: str, request_id: str, fingerprint: bytes, now: datetime) -> Answered | None:
        """Take a request id for this transaction, or return what was answered under it. Waits for one in progress."""
        ...

    async def remember(self, client: str, request_id: str, outcome: Outcome) -> None:
        """Keep the answer under a claimed request id."""
        ...

    async def open_model(self, name: str, now: datetime) -> Model:
        """Lock a model, making it with epoch 0 when it does not exist. A deleted one has its delete_time set."""
        ...

    async def lock_model(self, name: str) -> Model | None:
        """Lock a model; None when it does not exist or is deleted."""
        ...

    async def version(self, ref: VersionRef) -> Version | None:
        """Return a version."""
        ...

    async def state(self, name: str) -> ModelState | None:
        """Lock a model and return it with all its versions."""
        ...

    async def blob(self, sha256: str, kind: ArtifactType) -> Blob | None:
        """Return a stored blob; it is not collected before the transaction ends."""
        ...

    async def insert_version(self, version: Version) -> None:
        """Add a version of a locked model."""
        ...

    async def move(self, ref: VersionRef, stage: Stage) -> None:
        """Change the stage of a version. There must never be two in production, not even between two moves."""
        ...

    async def set_serving(self, ref: VersionRef, settings: ServingSettings, revision: int) -> None:
        """Replace the serving settings of a version of a locked model."""
        ...

    async def set_alias(self, ref: VersionRef, alias: str) -> None:
        """Point an alias of the model at a version."""
        ...

    async def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias."""
        ...

    async def last_measured_by(self, ref: VersionRef, process: str) -> dict[str, float]:
        """Return what a process said last of each metric of a version."""
        ...

    async def insert_measurements(self, ref: VersionRef, measurements: Sequence[Measurement]) -> None:
        """Add to the record of what was measured on a version of a locked model."""
        ...

    async def collect_versions(self, model: str, versions: Sequence[str] | None, now: datetime) -> None:
        """Give up the files of versions of a locked model, None for all of them: their bytes need not be kept."""
        ...

    async def holds(self, model: str, now: datetime) -> list[Hold]:
        """Return the holds on versions of a locked model that have not expired."""
        ...

    async def put_hold(self, hold: Hold) -> None:
        """Add a hold on a version of a locked model, or replace that of the same holder."""
        ...

    async def delete_hold(self, ref: VersionRef, holder: str) -> None:
        """Remove a hold."""
        ...

    async def pools(self) -> list[PoolFormats]:
        """Return the pools of batchers that were reported last, by name."""
        ...

    async def promotion_request(self, model: str, number: int) -> PromotionRequest | None:
        """Return a request for promotion of a locked model."""
        ...

    async def open_promotion_requests(self, model: str) -> list[PromotionRequest]:
        """Return the requests of a locked model that are not over, also those whose time has passed, by number."""
        ...

    async def put_promotion_request(self, request: PromotionRequest) -> None:
        """Add a request to a locked model, or replace it."""
        ...

    async def content_use(self, sha256: str, now: datetime) -> ContentUse:
        """Lock the bytes of a SHA-256 and return their users. Until the transaction ends no upload of them begins and
        no version begins to name them."""
        ...

    async def delete_content(self, sha256: str, now: datetime) -> None:
        """Record that locked bytes are gone: they count as not stored until they are uploaded again."""
        ...

    async def save(self, model: Model, events: Sequence[Event]) -> None:
        """Write a locked model's own fields (not its aliases, not its production version) and its new history, give it
        the next number in the order of all changes, and wake the watches. Comes last in a transaction that changes."""
        ...


class Store(Protocol):
    """Models, versions, history and blobs. Every method raises Unavailable while the storage is down."""

    def transaction(self, *, validate_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Return a context that commits when it ends well and leaves nothing when it raises, or with validate_only."""
        ...

    async def model(self, name: str) -> Model | None:
        """Return a model."""
        ...

    async def models(self, query: ModelQuery, *, after: Place | None, limit: int) -> list[Model]:
        """Return models in the order of a query, those behind `after`; deleted ones are never among them."""
        ...

    async def version(self, ref: VersionRef) -> Version | None:
        """Return a version."""
        ...

    async def versions(self, model: str, *, before: int | None, limit: int, stage: Stage | None) -> list[Version]:
        """Return versions of a model, newest first, those registered before epoch `before`."""
        ...

    async def events(self, model: str, *, before: tuple[int, int] | None, limit: int) -> list[Event]:
        """Return a model's history, newest first, those before (epoch, ordinal)."""
        ...

    async def blob(self, sha256: str, kind: ArtifactType) -> Blob | None:
        """Return a stored blob."""
        ...

    async def touch_blob(self, sha256: str, kind: ArtifactType, now: datetime) -> Blob | None:
        """Return a stored blob and keep it from being collected for a while. Waits while its bytes are locked."""
        ...

    async def put_blob(self, blob: Blob, now: datetime) -> None:
        """Record that a blob is stored, as of now; what was recorded of it before stays."""
        ...

    async def open_upload(self, upload: Upload) -> None:
        """Record an upload under way, or its SHA-256 and that it is completed; waits while these bytes are locked."""
        ...

    async def upload(self, upload_id: UUID) -> Upload | None:
        """Return an upload under way."""
        ...

    async def staged_uploads(self, now: datetime, client: str) -> tuple[int, int]:
        """Return how many uploads by URL are open, not completed and not expired: in all, and of one client."""
        ...

    async def close_upload(self, upload_id: UUID) -> None:
        """Forget an upload."""
        ...

    async def expired_uploads(self, now: datetime, *, limit: int) -> list[Upload]:
        """Return uploads that have expired."""
        ...

    async def contents(self, now: datetime, *, after: str, limit: int) -> list[ContentUse]:
        """Return what bytes are stored and who needs them, by SHA-256, those that come after `after`."""
        ...

    async def stored(self, sha256s: Sequence[str]) -> set[str]:
        """Return those of some SHA-256s whose bytes are recorded as stored."""
        ...

    async def holds(self, model: str, now: datetime, *, after: tuple[str, str], limit: int) -> list[Hold]:
        """Return holds that have not expired by (version, holder), those that come after `after`."""
        ...

    async def promotion_requests(
        self, model: str, state: RequestState | None, *, after: tuple[str, int], limit: int
    ) -> list[PromotionRequest]:
        """Return requests of models that exist, by model, the latest first, those that come after `after`.

        model: empty for all. state: as it is written; None for all.
        """
        ...

    async def promotion_request(self, model: str, number: int) -> PromotionRequest | None:
        """Return a request of a model that exists."""
        ...

    async def measurements(self, ref: VersionRef, *, before: int | None, limit: int) -> list[Measurement]:
        """Return what was measured on a version, newest first, from before number `before`."""
        ...

    async def last_words(self, model: str, until: datetime) -> list[Event]:
        """Return, of a model's events until that time, the last one of each version that gave it a stage, of each
        alias, and of the rest; of deleted models too."""
        ...

    async def position(self) -> Position:
        """Return incarnation and number of the last change. Every change up to it is visible to later reads."""
        ...

    async def begin_time(self) -> datetime:
        """Return since when this incarnation exists."""
        ...

    async def states(self, *, after: str, limit: int) -> list[ModelState]:
        """Return whole models by name, those whose name comes after `after`; each is consistent in itself.

        Versions whose files were given up are not among them: nothing can serve these.
        """
        ...

    async def changed_since(self, sequence: int, *, limit: int) -> list[ModelState]:
        """Return the models that changed after `sequence`, in the order of their last change, consistent together.

        Deleted ones are among them, with delete_time set and without versions; versions whose files were given up are
        not.
        """
        ...

    def wakes(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed; hints only, some may be lost. Raises when the hints end."""
        ...

    async def expire_requests(self, before: datetime, *, limit: int) -> int:
        """Forget at most `limit` answers remembered before that time; return how many."""
        ...

    async def put_pools(self, pools: Sequence[PoolFormats]) -> None:
        """Replace what is known of pools of batchers."""
        ...

    async def expire_holds(self, before: datetime) -> None:
        """Forget holds that expired before that time."""
        ...

    async def check(self) -> None:
        """Return when the storage answers."""
        ...
