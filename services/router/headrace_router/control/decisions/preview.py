"""What a write would do, worked out like the write itself and then left alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headrace_router.buckets import BUCKETS
from headrace_router.control.decisions import unpromoted
from headrace_router.control.decisions.admission import Fits, check_etag, displaced_by, fits_all, resolved_or_raise
from headrace_router.control.decisions.allocation import Ranges, counts_of, renamed
from headrace_router.control.decisions.assignment import Assignment, Subject, assign, version_of
from headrace_router.control.decisions.readiness import Fleet, Readiness
from headrace_router.control.decisions.routes import Route
from headrace_router.control.decisions.states import RouteState, Table
from headrace_router.control.decisions.status import versions_of
from headrace_router.control.decisions.tables import added_by, moved_between, ranges_before, table_after


@dataclass(frozen=True, slots=True)
class Shift:
    """One variant before and after. Shares are of the units, from 0 to 1; a version is empty where there is none."""

    variant: str
    share_before: float
    share_after: float
    version_before: str
    version_after: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen.

    moved_share, moved_version_share: of the units whose variant, whose version would change; rules are not counted.
    waits_for: empty when it would take effect at once. displaced: who manages the route and would have to be displaced.
    subjects: where each goes before and after. excess: of the share that versions may get which are not promoted, empty
    for none.
    """

    table: Table
    shifts: tuple[Shift, ...]
    moved_share: float
    moved_version_share: float
    versions: tuple[tuple[Readiness, bool], ...]
    waits_for: str
    displaced: str
    subjects: tuple[tuple[Assignment, Assignment], ...]
    excess: str = ""


def preview(
    state: RouteState,
    route: Route,
    *,
    read_etag: str,
    manager: str,
    subjects: Iterable[Subject],
    fleet: Fleet,
    fits: Fits = fits_all,
) -> Preview:
    """Return what declaring a route would do.

    read_etag: checked unless empty. Raises Aborted, reason ETAG_MISMATCH, NotFound, reason VERSION_NOT_FOUND, and
    InvalidArgument, reason ROUTE_INVALID.
    """
    if read_etag:
        check_etag(state, read_etag)
    resolved = resolved_or_raise(state, route, fits)
    table, moved_share = table_after(state, route, resolved)
    before, ranges = (
        state.active.table if state.active is not None else None,
        ranges_before(state, route, resolved.variants),
    )
    return Preview(
        table,
        _shifts(before, ranges, table),
        moved_share,
        _moved_version_share(before, ranges, table),
        versions_of(state, fleet, table),
        fleet.lacks(added_by(table, state), grace_over=False) or "",
        displaced_by(manager, state),
        tuple(
            (assign(before, state.salt, one) if before else Assignment(), assign(table, state.salt, one))
            for one in subjects
        ),
        str(unpromoted.excess(state, route, resolved.variants, manager) or ""),
    )


def _shifts(before: Table | None, ranges: Ranges, after: Table) -> tuple[Shift, ...]:
    held, has = counts_of(ranges), counts_of(after.ranges)
    names = [one.name for one in after.variants]
    versions = _versions(before, ranges)
    names += [name for name in versions if name not in names]
    return tuple(
        Shift(
            name,
            held.get(name, 0) / BUCKETS,
            has.get(name, 0) / BUCKETS,
            versions.get(name, ""),
            version_of(after, name),
        )
        for name in names
    )


def _versions(before: Table | None, ranges: Ranges) -> dict[str, str]:
    """Return the versions in force by variant; the implicit route's variant counts as its heir."""
    if before is None:
        return {}
    if before.ranges != ranges:  # renamed, which happens to the only variant of the implicit route
        return {ranges[0].variant: before.variants[0].version}
    return {one.name: one.version for one in before.variants}


def _moved_version_share(before: Table | None, ranges: Ranges, after: Table) -> float:
    if before is None:
        return 0.0
    now = renamed(after.ranges, {one.name: one.version for one in after.variants})
    then = renamed(ranges, _versions(before, ranges))
    return moved_between(then, now, reshuffled=before.layer != after.layer)
