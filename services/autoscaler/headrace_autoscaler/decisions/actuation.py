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
    """What was asked of the actuator of a pool last. All times are those of decisions.

    decision: number of the decision that is carried out. target: replicas asked for; acknowledged: those that an
    actuator said it would have. since_s: when it was asked, or acknowledged, or failed. failures: in a row.
    problem: why it failed last; empty once it has done what it was asked. whom: for whom some of them are, where the
    pool's own demand needs fewer, as sentences about the decision end.
    """

    stage: Stage = Stage.IDLE
    decision: int | None = None
    target: int | None = None
    acknowledged: int | None = None
    since_s: float = 0.0
    failures: int = 0
    problem: str = ""
    whom: str = ""

    @property
    def retry_s(self) -> float:
        """Return when it may be asked again."""
        if not self.failures:
            return 0.0
        return self.since_s + min(FIRST_PAUSE_S * 2.0 ** (self.failures - 1), MAX_PAUSE_S)


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the actuator for so many replicas. late: a replica that is replaced: it goes first, then one is added."""

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
    """Return what to ask for, so that the pool comes to what is desired; None when there is nothing, or too soon.

    Asking again for what an actuator has acknowledged is safe, and is done when nothing came of it.
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


def resumed(acting: Acting, kept: int | None, now_s: float) -> Acting:
    """Return the state where nobody waits for an answer: the leader that had asked is no more.

    kept: what the actuator keeps the pool at. When that is what was asked for, it has been acknowledged.
    """
    if acting.stage is Stage.ASKED and kept is not None and kept == acting.target:
        return acknowledged(acting, now_s)
    return acting


def judged(acting: Acting, status: ReplicaStatus, now_s: float, deadline_s: float) -> Acting:
    """Return the state after a look at what there is: what was acknowledged is done, late, or still on its way.

    What had failed is done too, once the actuator keeps it and it is ready: its answer was lost, or it was slow.
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
    """Return the state where what had failed, or what nobody waits for any more, is not wanted either: all that is
    desired is kept, and ready.
    """
    there = status.ready == desired and not status.coming and not status.missing
    if acting.stage in (Stage.FAILED, Stage.ASKED) and there and status.target == desired:
        return replace(acting, stage=Stage.IDLE, decision=None, since_s=now_s, failures=0, problem="", whom="")
    return acting
