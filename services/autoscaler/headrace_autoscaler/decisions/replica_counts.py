"""How many replicas there really are, and how long they took to be ready."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace_autoscaler.decisions.actuation import ReplicaStatus
from headrace_autoscaler.decisions.members import Condition, Member

# What a start takes where none was measured, as an operator would guess it.
UNMEASURED_START_S = 60.0
LEAST_DEADLINE_S = 120.0
DEADLINE_STARTS = 3.0


@dataclass(frozen=True, slots=True)
class Appearance:
    """Since when a batcher is known, and since when it is ready: None while it is not."""

    first_s: float
    ready_s: float | None = None


Appearances = Mapping[str, Appearance]


def appearances(before: Appearances, members: Iterable[Member], now_s: float) -> dict[str, Appearance]:
    """Return when each of the batchers that are there appeared, by process."""
    after: dict[str, Appearance] = {}
    for member in members:
        known = before.get(member.process, Appearance(now_s))
        ready = known.ready_s
        if ready is None and member.condition is Condition.READY:
            ready = now_s
        after[member.process] = Appearance(known.first_s, ready)
    return after


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is. coming: replicas that load, or were asked for and are still to appear. missing: those that failed,
    or that did not appear in time. late: addresses of those that are there and are not ready in time.
    """

    ready: int = 0
    coming: int = 0
    missing: int = 0
    draining: int = 0
    late: tuple[str, ...] = field(default=())

    def seen(self, target: int | None) -> ReplicaStatus:
        """Return them with what the actuator says that it keeps the pool at."""
        return ReplicaStatus(target, self.ready, self.coming, self.missing, self.late)


def count(
    members: Sequence[Member],
    known: Appearances,
    *,
    target: int | None,
    target_age_s: float,
    now_s: float,
    deadline_s: float,
) -> Counts:
    """Count the replicas of a pool. target: what was asked for, and target_age_s: how long ago.

    Each replica counts once: one that was asked for and does not report yet is coming until the deadline.
    """
    ready = draining = coming = failed = 0
    late: list[str] = []
    for member in members:
        waited_s = now_s - known[member.process].first_s
        match member.condition:
            case Condition.READY:
                ready += 1
            case Condition.DRAINING:
                draining += 1
            case Condition.LOADING if waited_s <= deadline_s:
                coming += 1
            case _:
                failed += 1
                if waited_s > deadline_s:
                    late.append(member.address)
    absent = max(0, (target or 0) - ready - coming - failed)
    if target_age_s <= deadline_s:
        return Counts(ready, coming + absent, failed, draining, tuple(late))
    return Counts(ready, coming, failed + absent, draining, tuple(late))


def cheapest_first(members: Iterable[Member], known: Appearances) -> list[str]:
    """Return the addresses of a pool's batchers in the order in which they should go.

    First those that do not answer anyway, then those that have the fewest rows to finish, of equals the newest.
    """
    staying = [member for member in members if member.condition is not Condition.DRAINING]
    staying.sort(key=lambda one: (one.condition is Condition.READY, one.rows, -known[one.process].first_s, one.address))
    return [member.address for member in staying]


def start_s(measured: Sequence[float]) -> float | None:
    """Return how long a replica takes to be ready, from the last starts; None before there was one."""
    return statistics.median(measured) if measured else None


def ready_deadline_s(declared: float | None, start: float | None) -> float:
    """Return how long a replica may take to be ready."""
    if declared is not None:
        return declared
    return max(LEAST_DEADLINE_S, DEADLINE_STARTS * (UNMEASURED_START_S if start is None else start))
