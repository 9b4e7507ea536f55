"""Progress of a rollout: pure decisions over its state, an observation and the time.

Each function takes a rollout and an event, and returns a Transition: the next state and the history events. The
controller stores a state before it acts on it, and repeats the act after a crash: every act is idempotent.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from headrace_servicekit.errors import Aborted, PreconditionFailed

from headrace_rollout.decisions import consent, growth, transitions
from headrace_rollout.decisions.headroom import Room
from headrace_rollout.decisions.observation import Consent, Observation, Surroundings
from headrace_rollout.decisions.policies import OnLimit
from headrace_rollout.decisions.rollouts import Decision, Event, Rollout, State, Transition, Verdict

_DELETED = "the model was deleted"
_READY_PAUSED = "the version is ready; paused"


def already_running(model: str, rollout: int) -> PreconditionFailed:
    """Return the refusal of a second rollout of a model."""
    name = f"models/{model}/rollouts/{rollout}"
    return PreconditionFailed(
        f"model '{model}' has a rollout already: wait for {name}, or abort it",
        reason="ROLLOUT_RUNNING",
        metadata={"rollout": name},
    )


def prepared(
    rollout: Rollout,
    missing: str,
    now: datetime,
    room: Room | None = None,
    around: Surroundings = Surroundings(),  # noqa: B008 (frozen)
    consent_given: Consent | None = None,
) -> Transition:
    """Return the transition after a readiness check of the version.

    missing: what the version waits for; empty if it is ready. room: head-room for the first step; None while unknown.
    around: alerts and experiments that may hold the first step. consent_given: the approvers' decision.
    """
    if not missing and rollout.policy.shadow is not None and not rollout.paused:  # its answers reach no caller
        return Transition(replace(rollout, state=State.SHADOWING, moving=True, reason="the version is ready"))
    if missing:
        return _unready(rollout, missing, "waits until the version is ready", "was not ready", now)
    seen = Observation(rollout.manager, around=around, room=room, consent=consent_given)
    drift = consent.drifted(rollout, seen, now)
    if drift is None:
        return _first_step(rollout, seen, now)
    if drift.rollout.state.over:
        return drift
    decided = _first_step(drift.rollout, seen, now)
    return replace(decided, events=(*drift.events, *decided.events))


def _first_step(rollout: Rollout, seen: Observation, now: datetime) -> Transition:
    """Give the version its first share unless the rollout is held back."""
    if obstacle := growth.kept_back(rollout, seen.around):
        after = growth.kept_at(rollout, obstacle)
        return after if obstacle != growth.PAUSED else replace(after, rollout=replace(rollout, reason=_READY_PAUSED))
    fit = growth.fit(rollout, 0, seen.room)
    if fit.share > 0:
        thawed = transitions.thawed(rollout)
        begun = transitions.moving(thawed.rollout, 0, "the version is ready", fit)
        return replace(begun, events=(*thawed.events, *begun.events))
    never = f"was ready, and pool {rollout.pool} had no head-room for it"
    remedy = "; add batchers to it, or set a higher max_utilisation_percent in the policy" if seen.room else ""
    return _unready(rollout, fit.reason, "the version is ready, and waits for head-room", never, now, remedy)


def _unready(rollout: Rollout, missing: str, waits: str, never: str, now: datetime, remedy: str = "") -> Transition:
    if now - rollout.create_time >= rollout.policy.ready_timeout:
        within = transitions.span(rollout.policy.ready_timeout)
        message = f"version {rollout.version} {never} within {within}: {missing}{remedy}"
        return transitions.over(rollout, State.FAILED, message, now)
    return Transition(replace(rollout, reason=f"{waits}: {missing}"))


def moved(rollout: Rollout, etag: str, now: datetime) -> Transition:
    """Return the transition after data planes acknowledged the route of the current stage."""
    share = rollout.stage_share
    type_, message = "step", f"version {rollout.version} has {share * 100:g} % of the traffic"
    if rollout.limited_to is not None:
        message += f", not {rollout.stage.share * 100:g} % yet: {rollout.reason}"
    if rollout.state is State.SHADOWING:
        copied = f"{share * 100:g} % of what is computed"
        type_, message = "shadowing", f"version {rollout.version} gets copies of {copied}, and gets no requests"
        if rollout.warming:
            type_, message = (
                "warming",
                f"copies of requests fill the cache of version {rollout.version}, which gets no requests",
            )
        share = 0.0
    after = replace(
        rollout,
        moving=False,
        share=share,
        etag=etag,
        writes=rollout.writes + 1,
        step_time=now,
        reason=message,
        verdict=None,
        held=False,
    )
    return Transition(after, (Event(type_, message),))


def write_adopted(rollout: Rollout, etag: str) -> Transition:
    """Take in that an earlier write of this rollout happened whose answer was lost."""
    return Transition(replace(rollout, etag=etag, writes=rollout.writes + 1))


def write_dropped(rollout: Rollout, reason: str) -> Transition:
    """Take in that the control plane dropped a write: it is written again, as another one."""
    return Transition(replace(rollout, writes=rollout.writes + 1, reason=f"the route was not moved: {reason}"))


def refused(rollout: Rollout, reason: str, now: datetime) -> Transition:
    """Take in that a step can never be reached: what moved so far is taken back."""
    return transitions.roll_back(rollout, State.FAILED, reason, now)


def displaced(rollout: Rollout, by: str, now: datetime) -> Transition:
    """End a rollout because another manager or person took the route. by: its manager; empty for a person."""
    return transitions.over(rollout, State.DISPLACED, f"the route was taken by {by or 'a person'}", now)


def gone(rollout: Rollout, now: datetime) -> Transition:
    """Take in that there is no route any more."""
    return transitions.over(rollout, State.DISPLACED, _DELETED, now)


def model_deleted(rollout: Rollout, now: datetime) -> Transition:
    """End a rollout whose model was deleted in the registry. Its route, which may still serve, is restored."""
    return transitions.roll_back(rollout, State.DISPLACED, _DELETED, now)


def observed(rollout: Rollout, seen: Observation, now: datetime) -> Transition:
    """Decide at a stage: stay, advance or roll back."""
    if seen.managed_by != rollout.manager:
        return displaced(rollout, seen.managed_by, now)
    if rollout.reference != "version" and seen.named not in (None, rollout.baseline):
        where = f"behind {rollout.alias}" if rollout.alias else "into production"
        message = f"version {seen.named} was put {where} by hand"
        return transitions.roll_back(rollout, State.DISPLACED, message, now)
    drift = consent.drifted(rollout, seen, now)
    if drift is None:
        return _decided(rollout, seen, now)
    if drift.rollout.state is State.ROLLING_BACK:
        return drift
    decided = _decided(drift.rollout, seen, now)
    return replace(decided, events=(*drift.events, *decided.events))


def _decided(rollout: Rollout, seen: Observation, now: datetime) -> Transition:
    if rollout.skip:
        return transitions.onward(replace(rollout, skip=False), "the step was skipped")
    if not rollout.judged:
        return _unjudged(rollout, seen, now)
    verdict = seen.verdict
    assert verdict is not None, "a strategy that is judged has a verdict at each stage"
    rollout = replace(rollout, verdict=verdict)
    if verdict.decision is Decision.NO_DATA:
        return transitions.frozen(rollout, f"no data: {verdict.reason}")
    if verdict.decision is Decision.ROLL_BACK:
        if rollout.policy.manual_rollback:
            return transitions.frozen(rollout, f"{verdict.reason}; the policy leaves the rollback to you")
        return transitions.roll_back(rollout, State.ROLLED_BACK, verdict.reason, now)
    return _judged(rollout, seen, verdict, now)


def taken_back(rollout: Rollout, now: datetime) -> Transition:
    """Take in that data planes acknowledged the route as it was before the rollout."""
    end = rollout.ends_as or State.ROLLED_BACK
    # No request that was admitted under an older table is unanswered: nothing of the version came later.
    until = now if rollout.bad_from is not None else None
    return transitions.over(replace(rollout, share=0.0, bad_until=until), end, rollout.reason, now)


def registry_promoted(rollout: Rollout) -> Transition:
    """Take in that the registry names the version."""
    return Transition(replace(rollout, registry_done=True))


def promotion_refused(rollout: Rollout, reason: str, now: datetime) -> Transition:
    """Roll back because the registry does not promote the version."""
    return transitions.roll_back(rollout, State.FAILED, f"the registry does not promote the version: {reason}", now)


def succeeded(rollout: Rollout, now: datetime) -> Transition:
    """End the rollout successfully: data planes acknowledged the route with the version, which has no manager now."""
    return transitions.over(replace(rollout, share=1.0), State.SUCCEEDED, f"version {rollout.version} serves", now)


def pause(rollout: Rollout, client: str, reason: str) -> Transition:
    """Pause the rollout at its share. Raises PreconditionFailed, reason ROLLOUT_OVER."""
    _check_going(rollout)
    if rollout.paused:
        return Transition(rollout)
    after = replace(rollout, paused=True, reason=_with_reason(growth.PAUSED, reason))
    return Transition(after, (Event("paused", reason, client),))


def resume(rollout: Rollout, client: str, reason: str) -> Transition:
    """End a pause and accept a pending drift. Raises as `pause`, and PreconditionFailed, reason APPROVAL_REQUIRED."""
    _check_going(rollout)
    consent.check_answerable(rollout)
    said = consent.agreed(rollout, reason, client) if rollout.asks else Transition(rollout)
    if not rollout.paused:
        return said
    after = replace(said.rollout, paused=False, reason=_with_reason("resumed", reason))
    return Transition(after, (*said.events, Event("resumed", reason, client)))


def skip(rollout: Rollout, client: str, reason: str, step: int | None) -> Transition:
    """Skip the rest of the current step despite missing evidence, and accept a pending drift.

    Raises PreconditionFailed, reason ROLLOUT_OVER, STEP_NOT_REACHED or APPROVAL_REQUIRED, and Aborted, reason
    STEP_CHANGED.
    """
    _check_going(rollout)
    consent.check_answerable(rollout)
    if rollout.state not in (State.RUNNING, State.SHADOWING) or rollout.moving:
        raise PreconditionFailed("the rollout is on its way to a step: ask again there", reason="STEP_NOT_REACHED")
    if step is not None and step != rollout.step:
        raise Aborted(f"the rollout is at step {rollout.step}, not {step}", reason="STEP_CHANGED")
    said = consent.agreed(rollout, reason, client) if rollout.asks else Transition(rollout)
    after = replace(said.rollout, skip=True, paused=False, reason=_with_reason("skips the present step", reason))
    return Transition(after, (*said.events, Event("skipped", reason, client)))


def abort(rollout: Rollout, client: str, reason: str, now: datetime) -> Transition:
    """Roll back at a client's request. Raises as `pause`."""
    if rollout.state is State.ROLLING_BACK:
        return Transition(rollout)
    _check_going(rollout)
    message = f"{client or 'an unknown client'} aborted it" + (f": {reason}" if reason else "")
    return transitions.roll_back(rollout, State.ABORTED, message, now, client)


def _judged(rollout: Rollout, seen: Observation, verdict: Verdict, now: datetime) -> Transition:
    if grown := growth.grown(rollout, seen, verdict.reason, now):
        return grown
    thawed = transitions.thawed(rollout)
    rollout, events = thawed.rollout, thawed.events
    if transitions.overdue(rollout, now) and verdict.decision is Decision.HOLD:
        reason = f"no evidence within {transitions.span(rollout.stage.limit or timedelta())}: {verdict.reason}"
        ends = rollout.state is State.RUNNING and rollout.policy.on_limit is OnLimit.ROLLBACK
        if ends and not rollout.policy.manual_rollback:
            return transitions.roll_back(rollout, State.ROLLED_BACK, reason, now)
        if not rollout.held:
            events = (*events, Event("held", reason))
            rollout = replace(rollout, held=True)
    return Transition(replace(rollout, reason=verdict.reason), events)


def _unjudged(rollout: Rollout, seen: Observation, now: datetime) -> Transition:
    return growth.grown(rollout, seen, "the step's dwell is over", now) or transitions.thawed(rollout)


def _with_reason(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


def _check_going(rollout: Rollout) -> None:
    if rollout.state not in (State.PREPARING, State.SHADOWING, State.RUNNING):
        raise PreconditionFailed(
            f"the rollout is {rollout.state.value.replace('_', ' ')}: {rollout.reason}", reason="ROLLOUT_OVER"
        )
