"""What an actuator was asked for last, what came of it, and what to ask it next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

FIRST_PAUSE_S = 2.0
MAX_PAUSE_S = 120.0
# What an actuator has acknowledged shows in what it says that it keeps.
SHOWS_AFTER_S = 10.0


class Stage(StrEnum):
    """How far a request to an actuator is."""

    IDLE = "idle"
    ASKED = "asked"
    ACKNOWLEDGED = "acknowledged"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Acting:
    """The latest request to the actuator of a pool. Times are decision times.

    decision: number of the decision being carried out. target: requested replica count; acknowledged: count that the
    actuator accepted. since_s: time of the request, acknowledgement or failure. failures: consecutive ones. problem:
    error of the latest failure; empty after success.
    """

    stage: Stage = Stage.IDLE
    decision: int | None = None
    target: int | None = None
    acknowledged: int | None = None
    since_s: float = 0.0
    failures: int = 0
    problem: str = ""
    whom: str = ""
    """Clause that ends the outcome's sentence if replicas are for other than the pool's own demand."""

    @property
    def retry_s(self) -> float:
        """The earliest time of the next try."""
        if not self.failures:
            return 0.0
        return self.since_s + min(FIRST_PAUSE_S * 2.0 ** (self.failures - 1), MAX_PAUSE_S)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to the actuator. target: replica count. late: replica to replace: it is removed, then one is added."""

    target: int
    late: str | None = None


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """What there is of a pool.

    target: what the actuator says that it keeps the pool at; None where it cannot say. ready, coming, missing: replicas
    that are ready, that load or are still to appear, and that failed or did not appear in time. late: the addresses of
    those that are there and not ready in time.
    """

    target: int | None
    ready: int
    coming: int
    missing: int
    late: tuple[str, ...] = ()


def next_step(acting: Acting, desired: int, status: ReplicaStatus, now_s: float) -> Ask | None:
    """Return the next request to the actuator towards the desired count; None if none is needed or it is too early.

    An acknowledged request is repeated if it had no effect: actuators are idempotent.
    """
    if now_s < acting.retry_s:
        return None
    believed = status.target if status.target is not None else acting.acknowledged
    if believed != desired:
        # What was acknowledged a moment ago may not show yet; `judged` says when it should.
        return None if acting.stage is Stage.ACKNOWLEDGED and acting.target == desired else Ask(desired)
    if status.late:
        return Ask(desired, late=status.late[0])
    if status.missing and status.ready + status.coming < desired:
        return Ask(desired)
    return None


def asked(acting: Acting, decision: int | None, ask: Ask, now_s: float, whom: str = "") -> Acting:
    """Return the state after the actuator was asked."""
    return replace(acting, stage=Stage.ASKED, decision=decision, target=ask.target, since_s=now_s, whom=whom)


def acknowledged(acting: Acting, now_s: float) -> Acting:
    """Return the state after the actuator acknowledged."""
    return replace(acting, stage=Stage.ACKNOWLEDGED, acknowledged=acting.target, since_s=now_s)


def failed(acting: Acting, problem: str, now_s: float) -> Acting:
    """Return the state after the actuator refused, did not answer, or did not do what it had acknowledged."""
    return replace(acting, stage=Stage.FAILED, since_s=now_s, failures=acting.failures + 1, problem=problem)


def resumed(acting: Acting, target: int | None, now_s: float) -> Acting:
    """Return the state at a new leader: the call of the previous leader has no waiter any more.

    target: replica count that the actuator maintains. If it is the requested one, the request was acknowledged.
    """
    if acting.stage is Stage.ASKED and target is not None and target == acting.target:
        return acknowledged(acting, now_s)
    return acting


def judged(acting: Acting, status: ReplicaStatus, now_s: float, deadline_s: float) -> Acting:
    """Return the state after an observation: an acknowledged request is done, failed by its deadline, or in progress.

    A failed request is done too once the actuator maintains its target and all replicas are ready: its answer was lost
    or late.
    """
    there = status.ready == acting.target and not status.coming and not status.missing
    obeyed = acting.stage is Stage.ACKNOWLEDGED or (acting.stage is Stage.FAILED and status.target == acting.target)
    if there and obeyed:
        return replace(acting, stage=Stage.DONE, since_s=now_s, failures=0, problem="")
    if acting.stage is not Stage.ACKNOWLEDGED or acting.target is None:
        return acting
    waited_s = now_s - acting.since_s
    if status.target not in (None, acting.target) and waited_s > min(SHOWS_AFTER_S, deadline_s):
        return failed(acting, f"{acting.target} acknowledged, and {status.target} still set", now_s)
    if waited_s <= deadline_s:
        return acting
    problem = f"{acting.target} acknowledged, {status.ready} ready after {deadline_s:.0f} s"
    return failed(acting, problem, now_s)


def dropped(acting: Acting, desired: int, status: ReplicaStatus, now_s: float) -> Acting:
    """Return the idle state if a failed or abandoned request is no longer needed: the actuator maintains the desired
    count and all replicas are ready. Return `acting` otherwise.
    """
    there = status.ready == desired and not status.coming and not status.missing
    if acting.stage in (Stage.FAILED, Stage.ASKED) and there and status.target == desired:
        return replace(acting, stage=Stage.IDLE, decision=None, since_s=now_s, failures=0, problem="", whom="")
    return acting
