"""From a route whose versions are known to a table: who gets which buckets, and what that adds to what serves now."""

from __future__ import annotations

from collections.abc import Iterable

from headrace_router.buckets import BUCKETS
from headrace_router.control.decisions.allocation import Ranges, allocate, counts_of, moved_buckets, renamed
from headrace_router.control.decisions.readiness import Needed
from headrace_router.control.decisions.resolve import Resolution, ResolvedVariant
from headrace_router.control.decisions.routes import Route
from headrace_router.control.decisions.states import RouteState, Table


def table_after(state: RouteState, route: Route, resolved: Resolution) -> tuple[Table, float]:
    """Return the table of a route after what serves now, and the share of units that it moves."""
    before = ranges_before(state, route, resolved.variants)
    reshuffled = state.active is not None and state.active.table.layer != route.layer
    # Alike in all routes of a layer, whatever each had before.
    ranges = allocate(() if reshuffled else before, route.weights)
    moved_share = moved_between(before, ranges, reshuffled=reshuffled)
    table = Table(
        resolved.variants,
        ranges,
        route.unit,
        route.max_wait_us,
        route.rules,
        route.lookup,
        route.fallback,
        resolved.backups,
        route.hedging,
        route.shadowing,
        route.layer,
    )
    return table, moved_share


def moved_between(before: Ranges, after: Ranges, *, reshuffled: bool) -> float:
    """Return the share of units whose variant differs; 0 when there was none.

    reshuffled: units have other buckets, independent of those that they had.
    """
    if not before:
        return 0.0
    if not reshuffled:
        return moved_buckets(before, after) / BUCKETS
    held, has = counts_of(before), counts_of(after)
    return 1 - sum(count * has.get(name, 0) for name, count in held.items()) / BUCKETS**2


def ranges_before(state: RouteState, route: Route, resolved: tuple[ResolvedVariant, ...]) -> Ranges:
    """Return the ranges in force, empty when nothing is; the implicit route's variant has the name of its heir."""
    if state.active is None:
        return ()
    before = state.active.table.ranges
    if state.route is None and state.route != route:
        return renamed(before, _heirs(state.active.table, resolved))
    return before


def added_by(table: Table, state: RouteState, *, with_backups: bool = True) -> list[Needed]:
    """Return what a table needs and the generation in force does not serve, in the order of versions.

    A version that is in force as a backup alone may not be ready: a variant that is to serve it adds it.
    """
    serving = state.active.table if state.active is not None else None
    added = table.needs_of_variants - (serving.needs_of_variants if serving is not None else frozenset())
    if with_backups:
        added |= table.needs_of_backups - (serving.needs if serving is not None else frozenset())
    return in_order(added)


def in_order(needed: Iterable[Needed]) -> list[Needed]:
    """Return what is needed in the order of versions, then pools."""
    return sorted(needed, key=lambda one: (one.version, one.pool))


def _heirs(table: Table, resolved: tuple[ResolvedVariant, ...]) -> dict[str, str]:
    """Return who takes over the buckets of the implicit route's variant: the first that serves the same version.

    The implicit variant has no chosen name, so units that stay on their version have not moved.
    """
    (implicit,) = table.variants
    heirs = [variant.name for variant in resolved if (variant.digest, variant.pool) == (implicit.digest, implicit.pool)]
    return {implicit.name: heirs[0]} if heirs and implicit.name not in {variant.name for variant in resolved} else {}
