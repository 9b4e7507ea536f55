"""The moves that a rollout can make, of which decisions are made. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from headrace_rollout.decisions.headroom import Fit
from headrace_rollout.decisions.rollouts import Event, Rollout, State, Transition


def frozen(rollout: Rollout, why: str) -> Transition:
    """Freeze the rollout; add an event the first time."""
    events = () if rollout.frozen else (Event("frozen", why),)
    return Transition(replace(rollout, frozen=why, reason=f"frozen: {why}"), events)


def thawed(rollout: Rollout) -> Transition:
    """End that, if it was so."""
    if not rollout.frozen:
        return Transition(rollout)
    return Transition(replace(rollout, frozen=""), (Event("thawed", f"nothing keeps it any more: {rollout.frozen}"),))


def onward(rollout: Rollout, why: str, fit: Fit | None = None) -> Transition:
    """Leave a stage: to the next step, to the promotion, or to the end of a shadow that nothing follows.

    fit: what there is room for of the next step; None for all of it.
    """
    if rollout.state is State.SHADOWING:
        if rollout.last_step:
            return Transition(restoring(rollout, State.SHADOWED, why))
        rollout = replace(rollout, evidence="")  # what its answers are like is not one of what callers get
    if not rollout.last_step:
        step = rollout.step + 1
        return moving(rollout, step, why, fit or Fit(rollout.policy.steps[step].share))
    after = replace(rollout, state=State.PROMOTING, frozen="", reason=why)
    return Transition(after, (Event("promoting", why),))


def moving(rollout: Rollout, step: int, why: str, fit: Fit) -> Transition:
    """Have the route written for a step, as far as it fits."""
    limited_to = fit.share if fit.share < rollout.policy.steps[step].share else None
    reason = fit.reason or why
    return Transition(
        replace(rollout, state=State.RUNNING, step=step, moving=True, limited_to=limited_to, frozen="", reason=reason)
    )


def roll_back(rollout: Rollout, ends_as: State, reason: str, now: datetime, client: str = "") -> Transition:
    """Start the rollback, with an event."""
    if rollout.state is State.PREPARING:  # nothing was written
        return over(rollout, ends_as, reason, now, client)
    return Transition(restoring(rollout, ends_as, reason), (Event("rolling_back", reason, client),))


def restoring(rollout: Rollout, ends_as: State, reason: str) -> Rollout:
    """Return a rollout whose route is to be what it was."""
    # Whether the write that is on its way happens is unknown: what restores the route is another one.
    writes = rollout.writes + 1
    return replace(
        rollout,
        state=State.ROLLING_BACK,
        ends_as=ends_as,
        reason=reason,
        moving=False,
        frozen="",
        asks="",
        writes=writes,
    )


def over(rollout: Rollout, state: State, reason: str, now: datetime, client: str = "") -> Transition:
    """End a rollout, with an event."""
    after = replace(rollout, state=state, reason=reason, end_time=now, frozen="", asks="", paused=False, moving=False)
    return Transition(after, (Event(state.value, reason, client),))


def dwelt(rollout: Rollout, now: datetime) -> bool:
    """Return whether the present stage has lasted for its dwell."""
    return rollout.step_time is not None and now - rollout.step_time >= rollout.stage.dwell


def overdue(rollout: Rollout, now: datetime) -> bool:
    """Return whether the present stage has lasted for its limit."""
    limit = rollout.stage.limit
    return limit is not None and rollout.step_time is not None and now - rollout.step_time >= limit


def span(value: timedelta) -> str:
    """Return a time as people say it."""
    seconds = value.total_seconds()
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"
