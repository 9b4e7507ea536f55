"""What a drift of the model does to its rollout, and what those say whom it asks. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from headrace_servicekit.errors import PreconditionFailed

from headrace_rollout.decisions import transitions
from headrace_rollout.decisions.observation import Consent, Observation
from headrace_rollout.decisions.policies import OnDrift
from headrace_rollout.decisions.rollouts import Event, Rollout, State, Transition


def drifted(rollout: Rollout, seen: Observation, now: datetime) -> Transition | None:
    """Return what a drift, or what was said of one, leads to; None where it leads to nothing."""
    if rollout.asks:
        return _heard(rollout, seen.consent, now)
    policy = rollout.policy
    if not seen.around.drift or rollout.drift_accepted or policy.ignore_alerts or policy.on_drift is OnDrift.HOLD:
        return None
    told = f"drift: {seen.around.drift[0]}"
    if policy.on_drift is OnDrift.ROLLBACK:
        return transitions.roll_back(rollout, State.ROLLED_BACK, told, now)
    return Transition(replace(rollout, asks=told), (Event("asked", told),))


def agreed(rollout: Rollout, why: str, client: str = "") -> Transition:
    """Take in that a rollout goes on in spite of a drift."""
    return Transition(replace(rollout, asks="", drift_accepted=True), (Event("agreed", why, client),))


def check_answerable(rollout: Rollout) -> None:
    """Raise PreconditionFailed, reason APPROVAL_REQUIRED, where a rollout asks those who approved it."""
    if rollout.asks and rollout.promotion_request:
        told = f"the rollout waits for approvals of {rollout.promotion_request}: {rollout.asks}"
        raise PreconditionFailed(
            told, reason="APPROVAL_REQUIRED", metadata={"promotion_request": rollout.promotion_request}
        )


def _heard(rollout: Rollout, consent: Consent | None, now: datetime) -> Transition | None:
    if consent is None:
        return None
    if consent.refusal:
        told = f"its continuation was not approved ({rollout.asks}): {consent.refusal}"
        return transitions.roll_back(rollout, State.ROLLED_BACK, told, now)
    return agreed(rollout, f"{rollout.promotion_request} was approved again")
