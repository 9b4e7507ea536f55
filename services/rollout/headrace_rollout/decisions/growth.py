"""Whether a rollout advances: what holds it, and how much of the next share has head-room. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from headrace_rollout.decisions import transitions
from headrace_rollout.decisions.headroom import Fit, Room
from headrace_rollout.decisions.observation import Observation, Surroundings
from headrace_rollout.decisions.policies import OnLimit
from headrace_rollout.decisions.rollouts import Decision, Rollout, State, Transition

# After a limited step, until its load is measured.
SETTLE = timedelta(seconds=10)
PAUSED = "paused"
UNKNOWN = "the monitor has not said yet which alerts are open and which experiments run"


def wants_room(rollout: Rollout, seen: Observation, now: datetime) -> bool:
    """Return whether the version gets a larger share now if the pool has head-room."""
    if rollout.skip or kept_back(rollout, seen.around):
        return False
    decision = decision_of(rollout, seen, now)
    if rollout.limited_to is not None:
        settled = rollout.step_time is not None and now - rollout.step_time >= SETTLE
        return settled and decision in (Decision.ADVANCE, Decision.HOLD)
    return not rollout.last_step and transitions.dwelt(rollout, now) and decision is Decision.ADVANCE


def decision_of(rollout: Rollout, seen: Observation, now: datetime) -> Decision:
    """Return the verdict's decision; once a step is overdue, HOLD becomes ADVANCE if the policy says so."""
    decision = seen.verdict.decision if seen.verdict is not None else Decision.ADVANCE
    if decision is not Decision.HOLD or not transitions.overdue(rollout, now):
        return decision
    goes_on = rollout.policy.on_limit is OnLimit.GO_ON and rollout.state is State.RUNNING
    return Decision.ADVANCE if goes_on else decision


def grown(rollout: Rollout, seen: Observation, why: str, now: datetime) -> Transition | None:
    """Return the transition if the rollout is held back or advances; None if it stays as it is."""
    if obstacle := kept_back(rollout, seen.around):
        return kept_at(rollout, obstacle)
    if rollout.limited_to is not None or not rollout.last_step:
        return _grown_into(rollout, seen.room, why) if wants_room(rollout, seen, now) else None
    if not transitions.dwelt(rollout, now) or decision_of(rollout, seen, now) is not Decision.ADVANCE:
        return None
    thawed = transitions.thawed(rollout)
    onward = transitions.onward(thawed.rollout, why)
    return replace(onward, events=(*thawed.events, *onward.events))


def kept_at(rollout: Rollout, why: str) -> Transition:
    """Stay at the current stage. why: a result of `kept_back`."""
    if why == UNKNOWN:  # after a restart of the service: no news of the rollout
        return Transition(rollout if rollout.frozen else replace(rollout, reason=why))
    return Transition(replace(rollout, frozen="", reason=why)) if why == PAUSED else transitions.frozen(rollout, why)


def _grown_into(rollout: Rollout, room: Room | None, why: str) -> Transition:
    """Move to the next step, or to more of the current step's share, within the head-room."""
    step = rollout.step if rollout.limited_to is not None else rollout.step + 1
    fitting = fit(rollout, step, room)
    thawed = transitions.thawed(rollout)
    if fitting.share <= rollout.share:
        if rollout.limited_to is not None:  # it retains its share and is not frozen
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
    """Return the share of a step that the pool has head-room for."""
    if room is None:
        return Fit(rollout.share, "the load of the pool is being measured")
    policy = rollout.policy
    wanted = policy.steps[step].share
    return room.fit(rollout.share, wanted, policy.max_utilisation, whole=policy.strategy.whole)


def kept_back(rollout: Rollout, around: Surroundings) -> str:
    """Return why the rollout may not advance, independent of the evidence; empty if nothing holds it."""
    if rollout.asks:
        return f"continuing needs approval: {rollout.asks}"
    if not rollout.policy.ignore_alerts and (why := frozen_by(around, drift_accepted=rollout.drift_accepted)):
        return why
    return PAUSED if rollout.paused else ""


def frozen_by(around: Surroundings, *, drift_accepted: bool = False) -> str:
    """Return why a version of a model may not get more traffic; empty if it may.

    Applies to every step of every strategy, the first one too, and to the shares of experiments. Before the monitor's
    first answer no version gets more traffic.
    """
    if not around.known:
        return UNKNOWN
    alerts = around.other_alerts if drift_accepted else around.alerts
    if alerts:
        return f"alert: {alerts[0]}"
    return f"{around.experiment} runs, and another version would change what it measures" if around.experiment else ""
