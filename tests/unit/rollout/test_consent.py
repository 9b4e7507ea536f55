"""A drift of the model holds its rollout, takes the version back, or asks whether it goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from headrace.registry.v1 import approval_pb2
from headrace_rollout.approved import request_of, wanted_of
from headrace_rollout.decisions import progress
from headrace_rollout.decisions.headroom import Room
from headrace_rollout.decisions.observation import Consent, Observation, Surroundings
from headrace_rollout.decisions.policies import OnDrift, Policy, Step, Strategy
from headrace_rollout.decisions.rollouts import Decision, Rollout, State, Transition, Verdict
from headrace_rollout.surroundings import Observing
from headrace_servicekit.errors import (
    Aborted,
    InvalidArgument,
    PreconditionFailed,
    ServiceError,
    Unauthenticated,
    Unavailable,
)

from tests.kit.rollout.rollouts import CANARY, IMPLICIT, MINUTE, NOW, rollout
from tests.kit.rollout.world import World

LATER = NOW + MINUTE
DRIFT = "drift-fraud: amount has drifted"
REQUEST = "models/digits/promotionRequests/9"


def at_first_step(on_drift: OnDrift, policy: Policy = CANARY, **how) -> Rollout:
    policy = replace(policy, on_drift=on_drift)
    return rollout(policy, **{"state": State.RUNNING, "step": 0, "share": 0.05, "step_time": NOW, **how})


def seen(decision: Decision = Decision.ADVANCE, consent: Consent | None = None, **around) -> Observation:
    drift = {"alerts": (DRIFT,), "drift": (DRIFT,)}
    verdict = Verdict(decision, "so it is", (), NOW)
    return Observation("rollouts/7", "v1", Surroundings(**{**drift, **around}), verdict, Room(), consent)


def types(transition: Transition) -> list[str]:
    return [event.type for event in transition.events]


def asking(**how) -> Rollout:
    return progress.observed(at_first_step(OnDrift.ASK, **how), seen(), LATER).rollout


def test_a_drift_holds_as_long_as_its_alert_is_open():
    held = progress.observed(at_first_step(OnDrift.HOLD), seen(), LATER)
    assert (held.rollout.moving, types(held)) == (False, ["frozen"])
    assert progress.observed(held.rollout, seen(alerts=(), drift=()), LATER).rollout.moving


def test_a_drift_takes_the_version_back_where_the_policy_says_so_and_another_alert_does_not():
    back = progress.observed(at_first_step(OnDrift.ROLLBACK), seen(), NOW)
    assert (back.rollout.state, back.rollout.ends_as, back.rollout.reason) == (
        State.ROLLING_BACK,
        State.ROLLED_BACK,
        f"drift: {DRIFT}",
    )
    other = progress.observed(at_first_step(OnDrift.ROLLBACK), seen(drift=()), LATER).rollout
    assert (other.state, other.frozen) == (State.RUNNING, f"alert: {DRIFT}")


def test_a_strategy_that_nothing_judges_is_taken_back_for_a_drift_too():
    rolling = Policy(Strategy.ROLLING, (Step(0.05, MINUTE), Step(1.0, MINUTE)))
    assert progress.observed(at_first_step(OnDrift.ROLLBACK, rolling), seen(), NOW).rollout.state is State.ROLLING_BACK


def test_a_rollout_that_asks_says_so_once_and_waits_also_when_the_alert_is_over():
    asked = progress.observed(at_first_step(OnDrift.ASK), seen(), LATER)
    assert (asked.rollout.asks, asked.rollout.moving, types(asked)) == (f"drift: {DRIFT}", False, ["asked", "frozen"])
    again = progress.observed(asked.rollout, seen(alerts=(), drift=()), LATER)
    assert (again.rollout.moving, types(again)) == (False, [])
    assert again.rollout.frozen == f"continuing needs approval: drift: {DRIFT}"


def test_a_version_that_is_worse_is_taken_back_while_the_rollout_asks():
    assert progress.observed(asking(), seen(Decision.ROLL_BACK), LATER).rollout.state is State.ROLLING_BACK


def skip(one: Rollout, client: str, reason: str) -> Transition:
    return progress.skip(one, client, reason, None)


@pytest.mark.parametrize("answer", [progress.resume, skip])
def test_whoever_agrees_does_so_for_the_rest_of_the_rollout(answer):
    agreed = answer(asking(), "ana", "seen, it is the season")
    assert (agreed.rollout.asks, agreed.rollout.drift_accepted, agreed.events[0].type) == ("", True, "agreed")
    assert agreed.events[0].client == "ana"
    onward = progress.observed(agreed.rollout, seen(), LATER).rollout
    assert (onward.moving, onward.step) == (True, 1)
    other = progress.observed(replace(agreed.rollout, skip=False), seen(alerts=(DRIFT, "slo: late")), LATER).rollout
    assert other.frozen == "alert: slo: late"


def test_a_rollout_that_others_approved_goes_on_when_they_approve_it_anew_and_not_by_one_word():
    waits = asking(promotion_request=REQUEST)
    for answer in (progress.resume, skip):
        with pytest.raises(PreconditionFailed) as refused:
            answer(waits, "ana", "trust me")
        assert refused.value.reason == "APPROVAL_REQUIRED"
        assert refused.value.metadata == {"promotion_request": REQUEST}
    agreed = progress.observed(waits, seen(consent=Consent()), LATER)
    assert (agreed.rollout.moving, types(agreed)) == (True, ["agreed", "thawed"])
    rejected = progress.observed(waits, seen(consent=Consent("request 9 is rejected by cid: worse")), LATER)
    assert (rejected.rollout.state, rejected.rollout.ends_as) == (State.ROLLING_BACK, State.ROLLED_BACK)
    assert "rejected by cid" in rejected.rollout.reason


@pytest.mark.parametrize("error", [Unavailable("away"), Aborted("once more"), Unauthenticated("too old a token")])
async def test_approvers_who_cannot_be_asked_have_not_refused(error: ServiceError):
    class Away(World):
        async def ask_again(self, rollout: Rollout) -> bool:
            raise error

    waits = asking(promotion_request=REQUEST)
    world: Any = Away(IMPLICIT, etag="e0")
    world.managed_by = waits.manager
    decide = await Observing(world, world, world, world).decided(waits, lambda: LATER)
    after = decide(waits, LATER).rollout
    assert (after.state, after.asks, after.moving) == (State.RUNNING, waits.asks, False)


def test_a_rollout_that_asks_can_be_aborted():
    assert progress.abort(asking(promotion_request=REQUEST), "ana", "", LATER).rollout.state is State.ROLLING_BACK


def test_a_request_that_went_back_to_wait_for_approvals_begins_a_rollout_of_its_own():
    first, second = (request_of(approval_pb2.PromotionRequest(name=REQUEST, rounds=rounds)) for rounds in (0, 1))
    assert first.id != second.id
    assert first.fingerprint != second.fingerprint


def test_what_was_agreed_to_is_a_policy_in_the_json_that_rollouts_take():
    stated = {"strategy": "STRATEGY_ROLLING", "toleratedRatio": 2.5, "steps": [{"percent": 100, "dwell": "9s"}]}
    policy = wanted_of(approval_pb2.PromotionRequest(name=REQUEST, rollout_policy=stated)).policy
    assert policy is not None
    assert (policy.strategy, policy.tolerated_ratio) == (Strategy.ROLLING, 2.5)
    assert [(step.share, step.dwell) for step in policy.steps] == [(1.0, timedelta(seconds=9))]


@pytest.mark.parametrize("stated", [{"of_tomorrow": 1}, {"ready_timeout": "soon"}, {"tolerated_ratio": "NaN"}])
def test_what_was_agreed_to_and_is_no_policy_begins_no_rollout(stated: dict):
    with pytest.raises(InvalidArgument, match="rollout_policy"):
        wanted_of(approval_pb2.PromotionRequest(name=REQUEST, rollout_policy=stated))


@pytest.mark.parametrize(
    ("on_drift", "state", "kinds"),
    [
        (OnDrift.HOLD, State.PREPARING, ["frozen"]),
        (OnDrift.ASK, State.PREPARING, ["asked", "frozen"]),
        (OnDrift.ROLLBACK, State.ROLLED_BACK, ["rolled_back"]),
    ],
)
def test_a_drift_before_the_first_step_does_what_it_does_at_every_other(
    on_drift: OnDrift, state: State, kinds: list[str]
):
    around = Surroundings((DRIFT,), (DRIFT,))
    ready = rollout(replace(CANARY, on_drift=on_drift))
    first = progress.prepared(ready, "", NOW, Room(), around)
    assert (first.rollout.state, types(first)) == (state, kinds)
    if on_drift is OnDrift.ASK:
        begun = progress.prepared(first.rollout, "", NOW, Room(), around, Consent())
        assert (begun.rollout.step, begun.rollout.moving) == (0, True)
        back = progress.prepared(first.rollout, "", NOW, Room(), around, Consent("not today"))
        assert back.rollout.state is State.ROLLED_BACK
