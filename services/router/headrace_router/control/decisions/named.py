"""Which versions the registry must keep for the router: those that a route or a lease names, not those in production.

The version in production is kept by the registry itself. A route that only follows it names nothing, no more than the
implicit one does: its model can be deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from headrace_router.control.decisions.demand import Lease
from headrace_router.control.decisions.fallback_steps import backups
from headrace_router.control.decisions.names import Serves
from headrace_router.control.decisions.routes import Route
from headrace_router.control.decisions.states import RouteState, Table

# A model and one of its versions, by id.
Named = tuple[str, str]


def named_versions(states: Iterable[RouteState], leases: Iterable[Lease], now: datetime) -> Mapping[Named, str]:
    """Return the versions that routes in force or pending name by id or alias, and those that are leased.

    Each with the incarnation of the registry that they are known from: another one knows of no hold.
    """
    named: dict[Named, str] = {}
    known: dict[str, str] = {}
    for state in states:
        known[state.model] = state.registered.incarnation
        for version in _named_by(state):
            named[state.model, version] = state.registered.incarnation
    for lease in leases:
        if now < lease.expires_at and lease.model in known:
            named[lease.model, lease.version] = known[lease.model]
    return named


def newly_named(before: RouteState, after: RouteState) -> frozenset[str]:
    """Return the versions of a model that a step begins to name."""
    return frozenset(_named_by(after) - _named_by(before))


def _named_by(state: RouteState) -> set[str]:
    found: set[str] = set()
    if state.active is not None:
        found |= _versions(state.in_force, state.active.table)
    if state.pending is not None:
        found |= _versions(state.pending.route, state.pending.table)
    return found


def _versions(route: Route, table: Table) -> set[str]:
    followed = {variant.name for variant in route.variants if variant.serves is Serves.PRODUCTION}
    following = {step.name for _, step, backup in backups(route.fallback) if backup.serves is Serves.PRODUCTION}
    ids = {variant.version for variant in table.variants if variant.name not in followed}
    return ids | {one.version for one in table.backups if one.digest and one.step not in following}
