"""What the control plane asks of a store, and what it gets back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from headrace_router.control.decisions.acks import DataPlane
from headrace_router.control.decisions.demand import Lease
from headrace_router.control.decisions.readiness import Report
from headrace_router.control.decisions.states import Announcement, Change, Generation, Outcome, RouteState, Step


class Conflict(Exception):
    """Another control plane changed the route first: read again, then decide again."""


class RequestUsed(Conflict):
    """The request id was used meanwhile: look up what for."""


@dataclass(frozen=True, slots=True)
class Record:
    """A route's state as stored. revision: grows with every write of any route."""

    revision: int
    state: RouteState


@dataclass(frozen=True, slots=True)
class Entry:
    """What is sent to data planes under one number. generation: None unless it announces a TABLE."""

    number: int
    model: str
    announcement: Announcement
    salt: bytes
    generation: Generation | None = None


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version by digest. resolved: encoded headrace.router.v1.ResolvedVersion. serving_revision: of its serving
    settings, for who has it from the registry; a store does not say it beside `resolved`."""

    digest: str
    model: str
    version: str
    resolved: bytes
    serving_revision: int = 0


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """A change and, once it is over, how it ended and under which generation it took effect.

    number: given by the store; grows with every change of a model that begins.
    """

    change: Change
    model: str
    outcome: Outcome | None = None
    outcome_reason: str = ""
    generation: int | None = None
    number: int = 0
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A write that can be repeated. fingerprint: of its content; the same id with another one is a mistake.

    change: that a declared route began. version: whose cache was purged. One of them is set.
    """

    client: str
    request_id: str
    fingerprint: bytes
    change: UUID | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What a store has beyond a revision and a generation: records by revision, entries by number, both rising."""

    incarnation: str
    newest_generation: int
    records: tuple[Record, ...]
    entries: tuple[Entry, ...]


class Store(Protocol):
    """Durable state of the control plane. Every method raises errors.Unavailable while the store cannot be reached."""

    async def news(self, revision: int, generation: int) -> News:
        """Return what changed after both numbers, as of one moment; from zero: every record and every entry."""
        ...

    async def entries_in_use(self, oldest: int) -> tuple[Entry, ...]:
        """Return, by number, what may still be served by a data plane that has acknowledged `oldest`: the newest entry
        of each model up to there, and everything later."""
        ...

    async def commit(self, revision: int | None, step: Step, now: datetime, request: Request | None = None) -> Record:
        """Make a step durable in one transaction; its announcement takes the next generation number.

        revision: of the record that was decided on; None when there was none. Raises Conflict or
        RequestUsed; then nothing is done.
        """
        ...

    async def change(self, change_id: UUID) -> ChangeRecord | None:
        """Return a change by id."""
        ...

    async def changes(self, model: str, limit: int, before: int | None = None) -> tuple[ChangeRecord, ...]:
        """Return a model's changes, newest first; only those with a smaller number than `before` when it is given."""
        ...

    async def request(self, client: str, request_id: str) -> Request | None:
        """Return what a request id was used for."""
        ...

    async def put_versions(self, versions: Sequence[StoredVersion]) -> None:
        """Keep versions; of those whose digest exists the serving settings are replaced."""
        ...

    async def versions(self, digests: Iterable[str]) -> tuple[StoredVersion, ...]:
        """Return those of the digests that are kept."""
        ...

    async def put_report(self, report: Report, lease: timedelta) -> None:
        """Replace the report of a batcher process, and of one that had its address before; it expires `lease` from now,
        by the store's clock, whatever it says itself."""
        ...

    async def reports(self, now: datetime) -> tuple[Report, ...]:
        """Return the reports that have not expired, with expiry in the caller's time `now`."""
        ...

    async def acknowledge(self, incarnation: str, data_plane: str, generation: int) -> None:
        """Note that a data plane is seen, and the newest generation that it has acknowledged.

        Raises Conflict when the store is no longer the one that numbered the generation.
        """
        ...

    async def data_planes(self, now: datetime) -> tuple[DataPlane, ...]:
        """Return the data planes, with times in the caller's time `now`."""
        ...

    async def touch(self, data_planes: Iterable[str]) -> None:
        """Note that data planes are seen; one that was never seen before has acknowledged nothing."""
        ...

    async def put_lease(self, lease: Lease, ttl: timedelta) -> None:
        """Keep a lease, in place of the holder's earlier one of the version in the pool; it expires `ttl` from now, by
        the store's clock. One without time left is removed."""
        ...

    async def leases(self, now: datetime) -> tuple[Lease, ...]:
        """Return the leases that have not expired, with expiry in the caller's time `now`."""
        ...

    async def sweep(self, reports: timedelta, requests: timedelta, data_planes: timedelta) -> None:
        """Forget reports and leases expired, requests made and data planes last seen longer ago than that."""
        ...

    def wakes(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed; hints only, some may be lost. Raises when the hints end."""
        ...

    async def renew_incarnation(self) -> str:
        """Become another store, as after a restore from a backup, and return the new incarnation.

        What data planes have acknowledged was acknowledged to the store before: it counts no longer.
        """
        ...

    async def ping(self) -> None:
        """Return when the store answers."""
        ...
