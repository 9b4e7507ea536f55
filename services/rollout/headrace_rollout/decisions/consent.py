"""The effect of model drift on a rollout, and the approvers' decision on it. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from headrace_servicekit.errors import PreconditionFailed

from headrace_rollout.decisions import transitions
from headrace_rollout.decisions.observation import Consent, Observation
from headrace_rollout.decisions.policies import OnDrift
from headrace_rollout.decisions.rollouts import Event, Rollout, State, Transition


def drifted(rollout: Rollout, seen: Observation, now: datetime) -> Transition | None:
    """Return the transition after a drift, or after the approvers' decision on it; None if nothing changes."""
    if rollout.asks:
        return _heard(rollout, seen.consent, now)
    policy = rollout.policy
    if not seen.around.drift or rollout.drift_accepted or policy.ignore_alerts or policy.on_drift is OnDrift.HOLD:
        return None
    message = f"drift: {seen.around.drift[0]}"
    if policy.on_drift is OnDrift.ROLLBACK:
        return transitions.roll_back(rollout, State.ROLLED_BACK, message, now)
    return Transition(replace(rollout, asks=message), (Event("asked", message),))


def agreed(rollout: Rollout, why: str, client: str = "") -> Transition:
    """Accept the drift: the rollout continues. why: reason of the event; client: empty for the approvers."""
    return Transition(replace(rollout, asks="", drift_accepted=True), (Event("agreed", why, client),))


def check_answerable(rollout: Rollout) -> None:
    """Raise PreconditionFailed, reason APPROVAL_REQUIRED, if only the promotion request's approvers may decide."""
    if rollout.asks and rollout.promotion_request:
        message = f"the rollout waits for approvals of {rollout.promotion_request}: {rollout.asks}"
        raise PreconditionFailed(
            message, reason="APPROVAL_REQUIRED", metadata={"promotion_request": rollout.promotion_request}
        )


def _heard(rollout: Rollout, consent: Consent | None, now: datetime) -> Transition | None:
    if consent is None:
        return None
    if consent.refusal:
        message = f"its continuation was not approved ({rollout.asks}): {consent.refusal}"
        return transitions.roll_back(rollout, State.ROLLED_BACK, message, now)
    return agreed(rollout, f"{rollout.promotion_request} was approved again")
