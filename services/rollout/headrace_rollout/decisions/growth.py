"""Whether a rollout goes on: what keeps it back, and how much of the next share there is room for. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from headrace_rollout.decisions import transitions
from headrace_rollout.decisions.headroom import Fit, Room
from headrace_rollout.decisions.observation import Observation, Surroundings
from headrace_rollout.decisions.policies import OnLimit
from headrace_rollout.decisions.rollouts import Decision, Rollout, State, Transition

# After a step that was slowed, until what it costs is seen.
SETTLE = timedelta(seconds=10)
PAUSED = "paused"
UNKNOWN = "the monitor has not said yet which alerts are open and which experiments run"


def wants_room(rollout: Rollout, seen: Observation, now: datetime) -> bool:
    """Return whether the version is to have a larger share now, if there is room for it."""
    if rollout.skip or kept_back(rollout, seen.around):
        return False
    decision = decision_of(rollout, seen, now)
    if rollout.limited_to is not None:
        settled = rollout.step_time is not None and now - rollout.step_time >= SETTLE
        return settled and decision in (Decision.ADVANCE, Decision.HOLD)
    return not rollout.last_step and transitions.dwelt(rollout, now) and decision is Decision.ADVANCE


def decision_of(rollout: Rollout, seen: Observation, now: datetime) -> Decision:
    """Return what follows from the evidence, and from what the policy says of a step that lacks it for too long."""
    decision = seen.verdict.decision if seen.verdict is not None else Decision.ADVANCE
    if decision is not Decision.HOLD or not transitions.overdue(rollout, now):
        return decision
    goes_on = rollout.policy.on_limit is OnLimit.GO_ON and rollout.state is State.RUNNING
    return Decision.ADVANCE if goes_on else decision


def grown(rollout: Rollout, seen: Observation, why: str, now: datetime) -> Transition | None:
    """Return what follows where something keeps the rollout, or it goes on; None where it stays as it is."""
    if kept := kept_back(rollout, seen.around):
        return kept_at(rollout, kept)
    if rollout.limited_to is not None or not rollout.last_step:
        return _grown_into(rollout, seen.room, why) if wants_room(rollout, seen, now) else None
    if not transitions.dwelt(rollout, now) or decision_of(rollout, seen, now) is not Decision.ADVANCE:
        return None
    thawed = transitions.thawed(rollout)
    onward = transitions.onward(thawed.rollout, why)
    return replace(onward, events=(*thawed.events, *onward.events))


def kept_at(rollout: Rollout, why: str) -> Transition:
    """Stay at the present stage. why: as `kept_back` says."""
    if why == UNKNOWN:  # after a restart of the service: no news of the rollout
        return Transition(rollout if rollout.frozen else replace(rollout, reason=why))
    return Transition(replace(rollout, frozen="", reason=why)) if why == PAUSED else transitions.frozen(rollout, why)


def _grown_into(rollout: Rollout, room: Room | None, why: str) -> Transition:
    """Leave a step for the next one, or for more of its own share, as far as there is room."""
    step = rollout.step if rollout.limited_to is not None else rollout.step + 1
    fitting = fit(rollout, step, room)
    thawed = transitions.thawed(rollout)
    if fitting.share <= rollout.share:
        if rollout.limited_to is not None:  # what it has it keeps: nothing freezes it
            return replace(thawed, rollout=replace(thawed.rollout, reason=fitting.reason))
        if room is None:
            return Transition(replace(rollout, reason=fitting.reason))
        return transitions.frozen(rollout, f"no head-room: {fitting.reason}; add batchers, or skip the step")
    if step == rollout.step:
        onward = transitions.moving(thawed.rollout, step, why, fitting)
    else:
        onward = transitions.onward(thawed.rollout, why, fitting)
    return replace(onward, events=(*thawed.events, *onward.events))


def fit(rollout: Rollout, step: int, room: Room | None) -> Fit:
    """Return the share of a step that there is room for."""
    if room is None:
        return Fit(rollout.share, "the load of the pool is being measured")
    policy = rollout.policy
    wanted = policy.steps[step].share
    return room.fit(rollout.share, wanted, policy.max_utilisation, whole=policy.strategy.whole)


def kept_back(rollout: Rollout, around: Surroundings) -> str:
    """Return why the rollout does not grow, whatever the evidence; empty when nothing keeps it."""
    if rollout.asks:
        return f"continuing needs approval: {rollout.asks}"
    if not rollout.policy.ignore_alerts and (why := frozen_by(around, drift_accepted=rollout.drift_accepted)):
        return why
    return PAUSED if rollout.paused else ""


def frozen_by(around: Surroundings, *, drift_accepted: bool = False) -> str:
    """Return what keeps a version of a model from getting more traffic; empty for nothing.

    This asks for every step of every strategy, the first one too, and for the shares of experiments. What is not known
    yet keeps it as well.
    """
    if not around.known:
        return UNKNOWN
    alerts = around.other_alerts if drift_accepted else around.alerts
    if alerts:
        return f"alert: {alerts[0]}"
    return f"{around.experiment} runs, and another version would change what it measures" if around.experiment else ""
