"""How what people declare and what the registry says become generations: pure decisions over (state, event).

A change begins PENDING and takes effect when every version that it adds is ready. Each function here takes the state
of one route and an event and returns a Step: the next state, the changes that began and ended, and what data planes are
to be sent. Nothing is done here; a store makes a step durable, or finds that another control plane made it first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from headrace_servicekit.errors import PreconditionFailed

from headrace_router.control.decisions import unpromoted
from headrace_router.control.decisions.admission import Fits, check_etag, displaced_by, fits_all, resolved_or_raise
from headrace_router.control.decisions.readiness import Fleet
from headrace_router.control.decisions.resolve import Registered, Resolution, Unresolved, resolve
from headrace_router.control.decisions.routes import Route
from headrace_router.control.decisions.states import (
    Announcement,
    Change,
    Ended,
    Generation,
    Kind,
    Limits,
    Outcome,
    Previous,
    RouteState,
    Step,
    Writer,
)
from headrace_router.control.decisions.stored_answers import NOTHING, AnswerState, received_of
from headrace_router.control.decisions.tables import added_by, table_after

NewId = Callable[[], UUID]


def registry_seen(
    known: RouteState | None, registered: Registered, *, salt: bytes, now: datetime, new_id: NewId, revert: timedelta
) -> Step | None:
    """Take in what the registry says of a model; None when it is no news.

    A write that waits is superseded when the news move what the route in force serves: promotions and rollbacks never
    wait behind a write. Otherwise it keeps waiting, re-resolved.
    """
    if known is not None and not registered.newer_than(known.registered):
        return None  # also when the model was removed since, which another control plane has heard first
    if known is None or known.removed:
        fresh = RouteState(known.model if known else registered.model, salt, registered)
        return _follow(Step(fresh, announcement=Announcement.NOT_SERVING), now, new_id)
    state = replace(known, registered=registered, previous=_previous(known, registered, now + revert))
    if registered.incarnation != known.registered.incarnation and state.active is not None:
        state = replace(state, active=replace(state.active, epoch=0))  # numbers of the old incarnation say nothing now
    step = Step(state)
    pending = state.pending
    if pending is not None and pending.kind is Kind.WRITE:
        before, after = _within_bound(known), _within_bound(state)
        if isinstance(after, Resolution) and (isinstance(before, Unresolved) or before.variants != after.variants):
            step = _end(step, Outcome.SUPERSEDED, f"the registry changed what '{state.model}' serves")
        else:
            step = Step(replace(state, pending=_re_resolved(pending, state)))
    return _follow(_epoch_noted(step), now, new_id)


def removed(known: RouteState) -> Step:
    """The registry says that the model no longer exists."""
    step = Step(known)
    if known.pending is not None:
        step = _end(step, Outcome.SUPERSEDED, "the model was removed")
    gone = replace(step.state, route=None, active=None, previous=None, removed=True, kept={})
    return replace(step, state=gone, announcement=Announcement.REMOVED)


def route_written(
    state: RouteState,
    route: Route,
    *,
    read_etag: str,
    change: UUID,
    writer: Writer,
    now: datetime,
    fits: Fits = fits_all,
) -> Step:
    """Accept a declared route as the pending change; what waited before is superseded.

    read_etag: of the route as the writer read it. Raises PreconditionFailed, reason ROUTE_MANAGED, naming the holder;
    Aborted, reason ETAG_MISMATCH; NotFound, reason VERSION_NOT_FOUND, and InvalidArgument, reason ROUTE_INVALID, naming
    the field; PreconditionFailed, reason UNPROMOTED_SHARE_EXCEEDED, naming variants, share and bound.
    """
    displaced = displaced_by(writer.manager, state)
    if displaced and not writer.force:
        raise PreconditionFailed(
            f"the route of '{state.model}' is managed by {displaced}: stop that, or take the route by force",
            reason="ROUTE_MANAGED",
            metadata={"managed_by": displaced},
        )
    check_etag(state, read_etag)
    resolved = resolved_or_raise(state, route, fits)
    unpromoted.check(state, route, resolved.variants, writer.manager)
    step = Step(state)
    if state.pending is not None:
        step = _end(step, Outcome.SUPERSEDED, "a newer write took its place")
    return _begin(step, Kind.WRITE, route, resolved, change, now, writer=writer, displaced=displaced)


def kept_changed(
    state: RouteState, digest: str, change: Callable[[AnswerState], AnswerState], *, now: datetime
) -> Step:
    """Change a version's stored answers: a new generation of the table in force when data planes are to read otherwise.

    A pending change takes the present values when it takes effect. Raises what `change` raises.
    """
    before = state.kept.get(digest, NOTHING)
    after = change(before)
    if after == before:
        return Step(state)
    state = replace(state, kept={**state.kept, digest: after})
    active = state.active
    if active is None or digest not in active.table.digests or after.answers == before.answers:
        return Step(state)
    again = replace(active, number=0, active_at=now, kept=received_of(state.kept, active.table.digests))
    return Step(replace(state, active=again), announcement=Announcement.TABLE)


def advance(step: Step, fleet: Fleet, *, now: datetime, limits: Limits, new_id: NewId) -> Step:
    """Do what can be done now: put a pending change in force, or drop a write that waited too long."""
    pending = step.state.pending
    if pending is None:
        step = _follow(step, now, new_id)
        pending = step.state.pending
        if pending is None:
            return step
    waited = now - pending.begun_at
    lack = why_pending(step.state, fleet, now=now, limits=limits)
    if lack is None:
        if why := _no_longer_allowed(step.state, pending):
            return advance(_end(step, Outcome.SUPERSEDED, why), fleet, now=now, limits=limits, new_id=new_id)
        return _activate(step, now)
    if pending.kind is Kind.WRITE and waited >= limits.ready_timeout:
        return advance(_end(step, Outcome.NOT_READY, lack), fleet, now=now, limits=limits, new_id=new_id)
    return step


def why_pending(state: RouteState, fleet: Fleet, *, now: datetime, limits: Limits) -> str | None:
    """Return what a pending change waits for; None when nothing is pending or all that it adds is ready.

    What follows the registry waits for fallbacks only for a while: what would merely help holds up no promotion.
    """
    pending = state.pending
    if pending is None:
        return None
    grace_over = now - pending.begun_at >= limits.ready_grace
    added = added_by(pending.table, state, with_backups=pending.kind is Kind.WRITE or not grace_over)
    return fleet.lacks(added, grace_over=grace_over)


def why_not_wanted(state: RouteState) -> str | None:
    """Return why what is declared cannot be tried, or not whole: a name of nothing, or a version that may not get that
    much traffic; None when all that is named is followed.
    """
    wanted = resolve(state.in_force, state.registered)
    if isinstance(wanted, Unresolved):
        return wanted.reason
    held = unpromoted.held_back(state, wanted)
    return None if held is None else str(held)


def _follow(step: Step, now: datetime, new_id: NewId) -> Step:
    """Begin a change when the route in force names other versions than it serves. Writes that wait come first."""
    state = step.state
    pending = state.pending
    if state.removed or (pending is not None and pending.kind is Kind.WRITE):
        return step
    wanted = _within_bound(state)
    if isinstance(wanted, Unresolved):
        return step  # the version that serves stays
    if state.active is not None and state.active.table.resolution == wanted:
        if pending is not None:
            step = _end(step, Outcome.SUPERSEDED, "the registry went back to what serves")
        return _epoch_noted(step)
    if pending is not None:
        if pending.table.resolution == wanted:
            return replace(step, state=replace(state, pending=replace(pending, epoch=state.registered.epoch)))
        step = _end(step, Outcome.SUPERSEDED, "a newer epoch of the registry took its place")
    return _begin(step, Kind.REGISTRY, state.in_force, wanted, new_id(), now)


def _followed(state: RouteState) -> Resolution | Unresolved:
    """Return what the route in force names by now; a backup that names nothing any more stays what it was."""
    present = state.active.table.backups if state.active is not None else ()
    return resolve(state.in_force, state.registered, present)


def _within_bound(state: RouteState) -> Resolution | Unresolved:
    """Return what of that may take effect."""
    wanted = _followed(state)
    return wanted if isinstance(wanted, Unresolved) else unpromoted.within_bound(state, wanted)


def _no_longer_allowed(state: RouteState, pending: Change) -> str | None:
    """Return why a write may not take effect that was allowed when it was accepted; None where it may.

    What follows the registry is held back variant by variant, and never dropped.
    """
    if pending.kind is not Kind.WRITE:
        return None
    manager = pending.writer.manager if pending.writer is not None else ""
    found = unpromoted.excess(state, pending.route, pending.table.variants, manager)
    return None if found is None else str(found)


def _begin(
    step: Step,
    kind: Kind,
    route: Route,
    resolved: Resolution,
    change_id: UUID,
    now: datetime,
    *,
    writer: Writer | None = None,
    displaced: str = "",
) -> Step:
    state = step.state
    table, moved_share = table_after(state, route, resolved)
    change = Change(change_id, kind, route, table, state.registered.epoch, now, moved_share, writer, displaced)
    return replace(step, state=replace(state, pending=change), began=(*step.began, change))


def _activate(step: Step, now: datetime) -> Step:
    state, change = step.state, step.state.pending
    assert change is not None
    kept = received_of(state.kept, change.table.digests)
    active = Generation(0, change.table, change.epoch, now, change.id, kept)
    route = change.route if change.kind is Kind.WRITE else state.route
    after = replace(state, route=route, active=active, pending=None)
    return replace(
        step, state=after, ended=(*step.ended, Ended(change, Outcome.ACTIVE)), announcement=Announcement.TABLE
    )


def _end(step: Step, outcome: Outcome, reason: str) -> Step:
    change = step.state.pending
    assert change is not None
    return replace(step, state=replace(step.state, pending=None), ended=(*step.ended, Ended(change, outcome, reason)))


def _re_resolved(pending: Change, state: RouteState) -> Change:
    """Return a waiting write with what its references name by now; one that lost a name keeps what it had."""
    resolved = resolve(pending.route, state.registered, pending.table.backups)
    if isinstance(resolved, Unresolved):
        return pending
    table = replace(pending.table, variants=resolved.variants, backups=resolved.backups)
    return replace(pending, table=table, epoch=state.registered.epoch)


def _epoch_noted(step: Step) -> Step:
    """Note in the generation in force that it is also what the newest epoch resolves to, when it is."""
    state = step.state
    active = state.active
    if active is None or active.table.resolution != _followed(state):
        return step
    if active.epoch == state.registered.epoch:
        return step
    return replace(step, state=replace(state, active=replace(active, epoch=state.registered.epoch)))


def _previous(known: RouteState, registered: Registered, until_at: datetime) -> Previous | None:
    """Return the version to keep for a rollback: what production was before, also when it was never served by us."""
    before = known.registered.production
    if before and before != registered.production:
        digest = registered.versions.get(before) or known.registered.versions.get(before)
        return Previous(before, digest, until_at) if digest else known.previous
    return known.previous
