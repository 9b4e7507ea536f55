"""How a rollout goes on: pure decisions over its state, what was observed, and time.

Each function takes a rollout and what happened and returns a Transition: the next state, and what there is to tell of
it. Nothing is done here. The controller keeps a state before it acts on it, and acts again after a crash: every act can
be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from headrace_servicekit.errors import Aborted, PreconditionFailed

from headrace_rollout.decisions.rollouts import Decision, Event, Rollout, State, Transition, Verdict

_DELETED = "the model was deleted"


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of a rollout's surroundings. managed_by: of its route. named: the version that the registry has
    where the variant looks, None while it is away. alerts: those that ask for a freeze. verdict: None while nothing is
    judged.
    """

    managed_by: str
    named: str | None = None
    alerts: tuple[str, ...] = ()
    verdict: Verdict | None = None


def already_running(model: str, rollout: int) -> PreconditionFailed:
    """Return the refusal of a second rollout of a model."""
    name = f"models/{model}/rollouts/{rollout}"
    return PreconditionFailed(
        f"model '{model}' has a rollout already: wait for {name}, or abort it",
        reason="ROLLOUT_RUNNING",
        metadata={"rollout": name},
    )


def prepared(rollout: Rollout, lack: str, now: datetime) -> Transition:
    """Take in how far the version is. lack: what it waits for; empty when it is ready."""
    if not lack:
        if rollout.paused:
            return Transition(replace(rollout, reason="the version is ready; paused"))
        if rollout.policy.shadow is not None:
            return Transition(replace(rollout, state=State.SHADOWING, moving=True, reason="the version is ready"))
        return _moving(rollout, 0, "the version is ready")
    if now - rollout.create_time >= rollout.policy.ready_timeout:
        told = f"version {rollout.version} was not ready within {_span(rollout.policy.ready_timeout)}: {lack}"
        return _over(rollout, State.FAILED, told, now)
    return Transition(replace(rollout, reason=f"waits until the version is ready: {lack}"))


def moved(rollout: Rollout, etag: str, now: datetime) -> Transition:
    """Take in that data planes acknowledged the route of the present stage."""
    share = rollout.stage.share
    type_, told = "step", f"version {rollout.version} has {share * 100:g} % of the traffic"
    if rollout.state is State.SHADOWING:
        copied = f"{share * 100:g} % of what is computed"
        type_, told = "shadowing", f"version {rollout.version} gets copies of {copied}, and answers nobody"
        share = 0.0
    after = replace(
        rollout,
        moving=False,
        share=share,
        etag=etag,
        writes=rollout.writes + 1,
        step_time=now,
        reason=told,
        verdict=None,
        held=False,
    )
    return Transition(after, (Event(type_, told),))


def write_adopted(rollout: Rollout, etag: str) -> Transition:
    """Take in that an earlier write of this rollout happened whose answer was lost."""
    return Transition(replace(rollout, etag=etag, writes=rollout.writes + 1))


def write_dropped(rollout: Rollout, reason: str) -> Transition:
    """Take in that the control plane dropped a write: it is written again, as another one."""
    return Transition(replace(rollout, writes=rollout.writes + 1, reason=f"the route was not moved: {reason}"))


def refused(rollout: Rollout, reason: str, now: datetime) -> Transition:
    """Take in that a step can never be reached: what moved so far is taken back."""
    return _roll_back(rollout, State.FAILED, reason, now)


def displaced(rollout: Rollout, by: str, now: datetime) -> Transition:
    """Take in that somebody else has the route, which is theirs from now on."""
    return _over(rollout, State.DISPLACED, f"the route was taken by {by or 'a person'}", now)


def gone(rollout: Rollout, now: datetime) -> Transition:
    """Take in that there is no route any more."""
    return _over(rollout, State.DISPLACED, _DELETED, now)


def model_deleted(rollout: Rollout, now: datetime) -> Transition:
    """Take in that the registry knows the model no more. Its route may go on serving, and is given back."""
    return _roll_back(rollout, State.DISPLACED, _DELETED, now)


def observed(rollout: Rollout, seen: Observation, now: datetime) -> Transition:
    """Decide at a stage: stay, go on, or take the version back."""
    if seen.managed_by != rollout.manager:
        return displaced(rollout, seen.managed_by, now)
    if rollout.reference != "version" and seen.named not in (None, rollout.baseline):
        where = f"behind {rollout.alias}" if rollout.alias else "into production"
        told = f"version {seen.named} was put {where} by hand"
        return _roll_back(rollout, State.DISPLACED, told, now)
    if rollout.skip:
        return _onward(replace(rollout, skip=False), "somebody skipped the step")
    if not rollout.policy.strategy.judged:
        return _unjudged(rollout, seen, now)
    verdict = seen.verdict
    assert verdict is not None, "a strategy that is judged has a verdict at each stage"
    rollout = replace(rollout, verdict=verdict)
    if verdict.decision is Decision.NO_DATA:
        return _frozen(rollout, f"no data: {verdict.reason}")
    if verdict.decision is Decision.ROLL_BACK:
        if rollout.policy.manual_rollback:
            return _frozen(rollout, f"{verdict.reason}; the policy leaves the rollback to you")
        return _roll_back(rollout, State.ROLLED_BACK, verdict.reason, now)
    return _judged(rollout, seen, verdict, now)


def taken_back(rollout: Rollout, now: datetime) -> Transition:
    """Take in that data planes acknowledged the route as it was before the rollout."""
    end = rollout.ends_as or State.ROLLED_BACK
    # No request that was admitted under an older table is unanswered: nothing of the version came later.
    until = now if rollout.bad_from is not None else None
    return _over(replace(rollout, share=0.0, bad_until=until), end, rollout.reason, now)


def registry_promoted(rollout: Rollout) -> Transition:
    """Take in that the registry names the version."""
    return Transition(replace(rollout, registry_done=True))


def promotion_refused(rollout: Rollout, reason: str, now: datetime) -> Transition:
    """Take in that the registry does not promote the version."""
    return _roll_back(rollout, State.FAILED, f"the registry does not promote the version: {reason}", now)


def succeeded(rollout: Rollout, now: datetime) -> Transition:
    """Take in that data planes acknowledged the route that serves the version, which nobody manages any more."""
    return _over(rollout, State.SUCCEEDED, f"version {rollout.version} serves", now)


def pause(rollout: Rollout, client: str, reason: str) -> Transition:
    """Stop growth. Raises PreconditionFailed, reason ROLLOUT_OVER."""
    _check_going(rollout)
    if rollout.paused:
        return Transition(rollout)
    return Transition(replace(rollout, paused=True), (Event("paused", reason, client),))


def resume(rollout: Rollout, client: str, reason: str) -> Transition:
    """End a pause. Raises as `pause`."""
    _check_going(rollout)
    if not rollout.paused:
        return Transition(rollout)
    return Transition(replace(rollout, paused=False), (Event("resumed", reason, client),))


def skip(rollout: Rollout, client: str, reason: str, step: int | None) -> Transition:
    """Leave the present step, whatever the evidence. Raises PreconditionFailed, reason ROLLOUT_OVER or
    STEP_NOT_REACHED, and Aborted, reason STEP_CHANGED.
    """
    _check_going(rollout)
    if rollout.state not in (State.RUNNING, State.SHADOWING) or rollout.moving:
        raise PreconditionFailed("the rollout is on its way to a step: ask again there", reason="STEP_NOT_REACHED")
    if step is not None and step != rollout.step:
        raise Aborted(f"the rollout is at step {rollout.step}, not {step}", reason="STEP_CHANGED")
    return Transition(replace(rollout, skip=True, paused=False), (Event("skipped", reason, client),))


def abort(rollout: Rollout, client: str, reason: str, now: datetime) -> Transition:
    """Take the version back, as somebody asked. Raises as `pause`."""
    if rollout.state is State.ROLLING_BACK:
        return Transition(rollout)
    _check_going(rollout)
    told = f"{client or 'somebody'} aborted it" + (f": {reason}" if reason else "")
    return _roll_back(rollout, State.ABORTED, told, now, client)


def _judged(rollout: Rollout, seen: Observation, verdict: Verdict, now: datetime) -> Transition:
    kept = _kept_back(rollout, seen)
    if kept:
        return _frozen(rollout, kept) if kept != "paused" else Transition(replace(rollout, frozen="", reason="paused"))
    thawed = _thawed(rollout)
    rollout = thawed.rollout
    if _dwelt(rollout, now) and verdict.decision is Decision.ADVANCE:
        onward = _onward(rollout, verdict.reason)
        return replace(onward, events=(*thawed.events, *onward.events))
    events = thawed.events
    limit = rollout.stage.limit
    reason = verdict.reason
    if limit is not None and not rollout.held and rollout.step_time is not None and now - rollout.step_time >= limit:
        events = (*events, Event("held", f"no evidence within {_span(limit)}: {verdict.reason}"))
        rollout = replace(rollout, held=True)
    return Transition(replace(rollout, reason=reason), events)


def _unjudged(rollout: Rollout, seen: Observation, now: datetime) -> Transition:
    kept = _kept_back(rollout, seen)
    if kept:
        return _frozen(rollout, kept) if kept != "paused" else Transition(replace(rollout, frozen="", reason="paused"))
    thawed = _thawed(rollout)
    if not _dwelt(thawed.rollout, now):
        return thawed
    onward = _onward(thawed.rollout, "the step's dwell is over")
    return replace(onward, events=(*thawed.events, *onward.events))


def _kept_back(rollout: Rollout, seen: Observation) -> str:
    """Return why the rollout does not grow, whatever the evidence; empty when nothing keeps it."""
    if seen.alerts and not rollout.policy.ignore_alerts:
        return f"alert: {seen.alerts[0]}"
    return "paused" if rollout.paused else ""


def _frozen(rollout: Rollout, why: str) -> Transition:
    events = () if rollout.frozen else (Event("frozen", why),)
    return Transition(replace(rollout, frozen=why, reason=f"frozen: {why}"), events)


def _thawed(rollout: Rollout) -> Transition:
    if not rollout.frozen:
        return Transition(rollout)
    return Transition(replace(rollout, frozen=""), (Event("thawed", f"nothing keeps it any more: {rollout.frozen}"),))


def _onward(rollout: Rollout, why: str) -> Transition:
    """Leave a stage: to the next step, to the promotion, or to the end of a shadow that nothing follows."""
    if rollout.state is State.SHADOWING:
        if rollout.last_step:
            return Transition(_restoring(rollout, State.SHADOWED, why))
        rollout = replace(rollout, evidence="")  # what its answers are like is none of what callers get
    if not rollout.last_step:
        return _moving(rollout, rollout.step + 1, why)
    after = replace(rollout, state=State.PROMOTING, frozen="", reason=why)
    return Transition(after, (Event("promoting", why),))


def _moving(rollout: Rollout, step: int, why: str) -> Transition:
    return Transition(replace(rollout, state=State.RUNNING, step=step, moving=True, frozen="", reason=why))


def _roll_back(rollout: Rollout, ends_as: State, reason: str, now: datetime, client: str = "") -> Transition:
    if rollout.state is State.PREPARING:  # nothing was written
        return _over(rollout, ends_as, reason, now, client)
    return Transition(_restoring(rollout, ends_as, reason), (Event("rolling_back", reason, client),))


def _restoring(rollout: Rollout, ends_as: State, reason: str) -> Rollout:
    # Whether the write that is on its way happens is unknown: what restores the route is another one.
    writes = rollout.writes + 1
    return replace(
        rollout, state=State.ROLLING_BACK, ends_as=ends_as, reason=reason, moving=False, frozen="", writes=writes
    )


def _over(rollout: Rollout, state: State, reason: str, now: datetime, client: str = "") -> Transition:
    after = replace(rollout, state=state, reason=reason, end_time=now, frozen="", paused=False, moving=False)
    return Transition(after, (Event(state.value, reason, client),))


def _dwelt(rollout: Rollout, now: datetime) -> bool:
    return rollout.step_time is not None and now - rollout.step_time >= rollout.stage.dwell


def _check_going(rollout: Rollout) -> None:
    if rollout.state not in (State.PREPARING, State.SHADOWING, State.RUNNING):
        raise PreconditionFailed(
            f"the rollout is {rollout.state.value.replace('_', ' ')}: {rollout.reason}", reason="ROLLOUT_OVER"
        )


def _span(value: timedelta) -> str:
    seconds = value.total_seconds()
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"
