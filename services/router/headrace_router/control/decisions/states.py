"""What the control plane knows of one model, as values: declared, waiting, in force, and what an event led to."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from headrace_router.control.decisions.allocation import Ranges
from headrace_router.control.decisions.fallback_steps import FallbackStep
from headrace_router.control.decisions.lookups import Hedging, Lookup, Shadowing
from headrace_router.control.decisions.readiness import Needed
from headrace_router.control.decisions.resolve import (
    PipelineMember,
    Registered,
    Resolution,
    ResolvedBackup,
    ResolvedVariant,
)
from headrace_router.control.decisions.routes import Route, Unit, implicit
from headrace_router.control.decisions.stored_answers import AnswerState, StoredAnswers
from headrace_router.rules import Rule


@dataclass(frozen=True, slots=True)
class Limits:
    """Times that changes obey. ready_grace: see Fleet.lacks. ready_timeout: longest wait of a route write."""

    ready_grace: timedelta = timedelta(seconds=30)
    ready_timeout: timedelta = timedelta(seconds=120)


class Kind(enum.Enum):
    """What a change comes from."""

    WRITE = "write"
    REGISTRY = "registry"


class Outcome(enum.Enum):
    """How a change ended."""

    ACTIVE = "active"
    NOT_READY = "not_ready"
    SUPERSEDED = "superseded"


class Announcement(enum.Enum):
    """What is sent to data planes under one number: a table, that nothing serves the model, or that it is gone."""

    TABLE = "table"
    NOT_SERVING = "not_serving"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Table:
    """A route with every reference resolved and every bucket given to a variant.

    rules: tried before the buckets are. fallback: as declared. backups: what those steps name that are versions; a step
    that is missing here names nothing and is passed over.
    """

    variants: tuple[ResolvedVariant, ...]
    ranges: Ranges
    unit: Unit = Unit.ANY
    max_wait_us: int | None = None
    rules: tuple[Rule, ...] = ()
    lookup: Lookup | None = None
    fallback: tuple[FallbackStep, ...] = ()
    backups: tuple[ResolvedBackup, ...] = ()
    hedging: Hedging | None = None
    shadowing: Shadowing | None = None
    layer: str = ""

    @property
    def resolution(self) -> Resolution:
        """Return what its references name."""
        return Resolution(self.variants, self.backups)

    @property
    def needs(self) -> frozenset[Needed]:
        """Return the versions that are to be ready, and where."""
        return self.needs_of_variants | self.needs_of_backups

    @property
    def needs_of_variants(self) -> frozenset[Needed]:
        """Return the versions that must be ready to serve, and where."""
        return frozenset(need for one in self.variants for need in needs_of(one, one.pool))

    @property
    def needs_of_backups(self) -> frozenset[Needed]:
        """Return the versions that fallbacks need, and where; also those that variants need."""
        named = {need for one in self.backups if one.digest for need in needs_of(one, one.pool)}
        pools = [one.pool for one in self.backups if not one.digest]
        return frozenset(named | {need for one in self.variants for pool in pools for need in needs_of(one, pool)})

    @property
    def digests(self) -> tuple[str, ...]:
        """Return the versions that it names, each once: those of variants first."""
        named = (*self.variants, *(one for one in self.backups if one.digest))
        return tuple(dict.fromkeys(one.digest for one in named))

    @property
    def loaded_digests(self) -> frozenset[str]:
        """Return what batchers load for it: the versions that it names, but members in the place of pipelines."""
        return frozenset(one.digest for one in self.needs)


def needs_of(one: ResolvedVariant | ResolvedBackup, pool: str) -> list[Needed]:
    """Return what must be ready for a version to answer in a pool: itself, or its members."""
    return members_in(one.members, pool) or [Needed(one.version, one.digest, pool)]


def members_in(members: Iterable[PipelineMember], pool: str) -> list[Needed]:
    """Return what must be ready for a pipeline to answer, which is served in a pool."""
    return [Needed(one.version, one.digest, one.pool or pool, one.model) for one in members]


@dataclass(frozen=True, slots=True)
class Writer:
    """Who declares a route, and why.

    client: who called. manager: on whose behalf, such as `rollouts/7`; empty for a person. force: take the route from
    its manager.
    """

    client: str
    reason: str = ""
    manager: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A table that is to take effect.

    epoch: of the model, that it was resolved from. writer: who declared it; None for what follows the registry.
    displaced: who managed the route and was displaced by force.
    """

    id: UUID
    kind: Kind
    route: Route
    table: Table
    epoch: int
    begun_at: datetime
    moved_share: float
    writer: Writer | None = None
    displaced: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """A table in force, and which stored answers of its versions may be read.

    number: 0 until the store gives one. epoch: the newest that resolves to this table. kept: by digest; a version that
    is missing has no stored answers.
    """

    number: int
    table: Table
    epoch: int
    active_at: datetime
    change: UUID
    kept: Mapping[str, StoredAnswers] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Previous:
    """The version that was in production before the present one: a rollback would need it."""

    version: str
    digest: str
    until_at: datetime


@dataclass(frozen=True, slots=True)
class RouteState:
    """Everything the control plane knows of one model.

    route: as declared and in force; None for the implicit one. kept: the stored answers of its versions, by digest,
    whether a table names them or not.
    """

    model: str
    salt: bytes
    registered: Registered
    route: Route | None = None
    pending: Change | None = None
    active: Generation | None = None
    previous: Previous | None = None
    removed: bool = False
    kept: Mapping[str, AnswerState] = field(default_factory=dict)

    def loaded_for(self, digest: str) -> tuple[str, ...]:
        """Return what batchers load so that a version answers: itself, or its members."""
        return tuple(one.digest for one in self.registered.members.get(digest, ())) or (digest,)

    @property
    def in_force(self) -> Route:
        """Return the declared route that serves, or the implicit one."""
        return self.route or implicit(self.model)

    @property
    def declared(self) -> Route:
        """Return the route that was declared last: a write counts once it is accepted, until it is dropped."""
        if self.pending is not None and self.pending.kind is Kind.WRITE:
            return self.pending.route
        return self.in_force


@dataclass(frozen=True, slots=True)
class Ended:
    """A change that is over, and why."""

    change: Change
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What an event leads to. announcement: what is sent to data planes, if anything."""

    state: RouteState
    began: tuple[Change, ...] = ()
    ended: tuple[Ended, ...] = ()
    announcement: Announcement | None = None
