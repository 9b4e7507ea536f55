"""What a route's status says: whether it serves what is declared, and if not, why."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from headrace_router.control.decisions.acks import DataPlane, connected
from headrace_router.control.decisions.changes import why_not_wanted, why_pending
from headrace_router.control.decisions.readiness import Fleet, Readiness
from headrace_router.control.decisions.states import Limits, RouteState, Table
from headrace_router.control.decisions.tables import in_order


class Condition(enum.IntEnum):
    """Whether a route serves what is declared; the numbers are the proto's."""

    ACTIVE = 1
    PENDING = 2
    NOT_SERVING = 3


@dataclass(frozen=True, slots=True)
class PlaneProgress:
    """How far one data plane is with the generation in force. connected: it watches a control plane at present."""

    id: str
    acknowledged: bool
    connected: bool
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """What is in force for a route, and how far what is wanted is.

    generation, epoch: in force; 0 before the first. wanted_epoch: the newest that is known of the model. versions: of
    the change that waits, else of what is in force; each with whether it is in force. planes: by id, those seen lately.
    """

    condition: Condition
    generation: int = 0
    epoch: int = 0
    reason: str = ""
    active_at: datetime | None = None
    wanted_epoch: int = 0
    versions: tuple[tuple[Readiness, bool], ...] = ()
    planes: tuple[PlaneProgress, ...] = ()

    @property
    def unacknowledged(self) -> tuple[str, ...]:
        """Return the ids of the data planes that have not acknowledged the generation in force."""
        return tuple(plane.id for plane in self.planes if not plane.acknowledged)


def status_of(
    state: RouteState,
    fleet: Fleet,
    planes: Iterable[DataPlane],
    *,
    watching: Collection[str],
    vanished: bool,
    left_out: str = "",
    now: datetime,
    remembered_since: datetime,
    limits: Limits,
) -> Status:
    """Return the status of a route.

    watching: ids of the data planes that watch here. vanished: the registry no longer lists the model, without having
    removed it. left_out: what of the table in force data planes do not receive, and why.
    """
    reason = why_pending(state, fleet, now=now, limits=limits) or why_not_wanted(state) or ""
    vanishing = f"the registry no longer lists model '{state.model}'" if vanished else ""
    reason = "; ".join(filter(None, (vanishing, reason, left_out)))
    active, wanted = state.active, versions_of(state, fleet)
    if active is None:
        reason = reason or "the change is about to take effect"
        return Status(Condition.NOT_SERVING, reason=reason, wanted_epoch=state.registered.epoch, versions=wanted)
    behind = state.pending is not None or why_not_wanted(state) is not None
    return Status(
        Condition.PENDING if behind else Condition.ACTIVE,
        active.number,
        active.epoch,
        reason,
        active.active_at,
        state.registered.epoch,
        wanted,
        tuple(
            PlaneProgress(plane.id, plane.acknowledged >= active.number, connected(plane, watching, now), plane.seen_at)
            for plane in sorted(planes, key=lambda plane: plane.id)
            if plane.seen_at >= remembered_since
        ),
    )


def versions_of(state: RouteState, fleet: Fleet, table: Table | None = None) -> tuple[tuple[Readiness, bool], ...]:
    """Return how far pools are with what a table needs, each with whether it is in force.

    table: the change that waits, else what is in force, when it is not given.
    """
    serving = state.active.table if state.active is not None else None
    table = table or (state.pending.table if state.pending is not None else serving)
    if table is None:
        return ()
    in_force = serving.needs if serving is not None else frozenset()
    return tuple((fleet.readiness(one), one in in_force) for one in in_order(table.needs))
