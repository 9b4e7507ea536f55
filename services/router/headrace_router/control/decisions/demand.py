"""Which versions a pool of batchers is to hold ready: what a table in force or a pending change names, and leases."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from headrace_router.control.decisions.fallback_steps import backups
from headrace_router.control.decisions.names import Serves
from headrace_router.control.decisions.readiness import Needed
from headrace_router.control.decisions.resolve import PipelineMember
from headrace_router.control.decisions.states import Previous, RouteState, Table, members_in


class Need(enum.IntEnum):
    """Why a version is wanted, the most urgent first; the names are the proto's."""

    ACTIVE = 1
    PENDING = 2
    LEASED = 3
    REVERT = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version to hold ready. change: which waits for it, None when it serves or no change does.

    What serves has none, so that a write that moves weights tells batchers nothing. serving_revision: of its serving
    settings: batchers get a change of these.
    """

    model: str
    version: str
    digest: str
    need: Need
    change: UUID | None = None
    serving_revision: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A version that a holder, such as `rollouts/7`, wants ready in a pool for a while."""

    model: str
    version: str
    digest: str
    pool: str
    holder: str
    expires_at: datetime


def demand(
    pool: str,
    states: Iterable[RouteState],
    in_use: Iterable[tuple[str, Table]],
    leases: Iterable[Lease],
    now: datetime,
) -> tuple[Wanted, ...]:
    """Return the whole demand on a pool, the most needed first.

    in_use: model and table of generations that some data plane may still serve although newer ones are in force; their
    versions must not be unloaded yet. leases: also those that have ended count no more.
    """
    wanted: dict[str, Wanted] = {}
    members: dict[str, tuple[PipelineMember, ...]] = {}

    def want(model: str, version: str, digest: str, need: Need, change: UUID | None = None) -> None:
        known = wanted.get(digest)
        if known is None or need < known.need:
            wanted[digest] = Wanted(model, version, digest, need, change)

    def needed(version: Previous | Lease, at: str) -> list[Needed]:
        found = members_in(members.get(version.digest, ()), at)
        return found or [Needed(version.version, version.digest, at)]

    for model, table in in_use:
        for one in table.needs:
            if one.pool == pool:
                want(one.model or model, one.version, one.digest, Need.ACTIVE)
    for state in states:
        for need, table, change in _tables(state):
            for one in table.needs:
                if one.pool == pool:
                    want(one.model or state.model, one.version, one.digest, need, change)
        members |= state.registered.members
        if state.previous is not None and now < state.previous.until_at:
            previous = state.previous
            for one in {need for at in _production_pools(state) for need in needed(previous, at)}:
                if one.pool == pool:
                    want(one.model or state.model, one.version, one.digest, Need.REVERT)
    for lease in leases:
        if now < lease.expires_at:
            for one in needed(lease, lease.pool):
                if one.pool == pool:
                    want(one.model or lease.model, one.version, one.digest, Need.LEASED)
    return tuple(sorted(wanted.values(), key=lambda one: (one.need, one.model, one.version, one.digest)))


def _tables(state: RouteState) -> Iterable[tuple[Need, Table, UUID | None]]:
    if state.active is not None:
        yield Need.ACTIVE, state.active.table, None
    if state.pending is not None:
        yield Need.PENDING, state.pending.table, state.pending.id


def _production_pools(state: RouteState) -> set[str]:
    """Return the pools that a rollback would load into: of what follows production, and of what backs that up."""
    route = state.in_force
    pools = {variant.pool for variant in route.variants if variant.serves is Serves.PRODUCTION}
    followed = {Serves.PRODUCTION, None} if pools else {Serves.PRODUCTION}
    return pools | {backup.pool for _, _, backup in backups(route.fallback) if backup.serves in followed}
