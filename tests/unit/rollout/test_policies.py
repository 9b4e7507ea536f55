"""Policies: what is wrong with one is named by its field, and none leads to a fault of ours."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.protobuf import json_format
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_rollout import answers, convert
from headrace_rollout.decisions.policies import DEFAULT, DEFAULT_STEPS, Policy, Shadow, Step, Strategy, completed
from headrace_rollout.documents import policy_json, policy_of
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.rows import each


def policy(text: dict) -> pb.RolloutPolicy:
    return json_format.ParseDict(text, pb.RolloutPolicy())


def test_an_empty_policy_is_the_default_canary():
    assert convert.policy_of(pb.RolloutPolicy()) == completed(DEFAULT)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_every_strategy_has_steps_of_its_own_and_comes_back_as_it_is(strategy: Strategy):
    found = convert.policy_of(policy({"strategy": f"STRATEGY_{strategy.name}"}))
    assert found.steps == completed(Policy(strategy, DEFAULT_STEPS[strategy])).steps
    assert convert.policy_of(answers.to_policy(found)) == found
    assert policy_of(policy_json(found)) == found


@pytest.mark.parametrize(
    ("shares", "last"), [((0.05, 1.0), 0.95), ((1.0,), 0.95), ((0.5, 0.97, 1.0), 0.985), ((0.5, 0.95), 0.95)]
)
def test_the_last_step_of_a_canary_leaves_a_share_to_be_compared_with(shares: tuple[float, ...], last: float):
    steps = tuple(Step(share, timedelta(days=1)) for share in shares)
    for strategy, share in ((Strategy.CANARY, last), (Strategy.SHADOW, last), (Strategy.ROLLING, shares[-1])):
        found = completed(Policy(strategy, steps))
        assert found.steps[-1].share == pytest.approx(share)
        assert completed(found) == found
    assert completed(Policy(Strategy.CANARY, steps)).steps[0].limit == timedelta(days=2)


def test_a_shadow_has_defaults_and_may_be_all_that_there_is():
    found = convert.policy_of(policy({"strategy": "STRATEGY_SHADOW"}))
    assert found.shadow == Shadow(1.0, timedelta(minutes=10), None, 1000, 0.005, 0.02)
    given = {"percent": 7, "dwell": "3s", "limit": "4s", "min_pairs": 5, "max_flips_percent": 0, "then": "THEN_NOTHING"}
    alone = convert.policy_of(policy({"strategy": "STRATEGY_SHADOW", "shadow": given}))
    assert (alone.steps, alone.shortest) == ((), timedelta(seconds=3))
    assert alone.shadow == Shadow(0.07, timedelta(seconds=3), timedelta(seconds=4), 5, 0.0, 0.02)
    assert convert.policy_of(answers.to_policy(alone)) == alone
    assert policy_of(policy_json(alone)) == alone


@pytest.mark.parametrize("strategy", ["STRATEGY_CANARY", "STRATEGY_ROLLING"])
def test_what_warms_a_version_is_a_stage_before_the_steps_and_comes_back_as_it_is(strategy: str):
    text = {"strategy": strategy, "warm": "120s", "on_drift": "DRIFT_ASK", "max_utilisation_percent": 150}
    found = convert.policy_of(policy(text))
    assert found.shadow == Shadow(dwell=timedelta(minutes=2), warms=True)
    assert found.shortest == timedelta(minutes=2) + sum((step.dwell for step in found.steps), timedelta())
    assert convert.policy_of(answers.to_policy(found)) == found
    assert policy_of(policy_json(found)) == found


@each(
    "text,field",
    [
        pytest.param({"steps": [{"percent": 5}]}, "policy.steps[0].percent", id="no last step"),
        pytest.param({"steps": [{"percent": 50}] * 2 + [{"percent": 100}]}, "policy.steps[1].percent", id="no growth"),
        pytest.param({"steps": [{"percent": 0}, {"percent": 100}]}, "policy.steps[0].percent", id="nothing"),
        pytest.param({"steps": [{"percent": 101}]}, "policy.steps[0].percent", id="more than all"),
        pytest.param({"steps": [{"percent": "NaN"}, {"percent": 100}]}, "policy.steps[0].percent", id="no number"),
        pytest.param({"steps": [{"percent": 100, "dwell": "-1s"}]}, "policy.steps[0].dwell", id="back in time"),
        pytest.param({"steps": [{"percent": 100, "dwell": "9s", "limit": "3s"}]}, "policy.steps[0].limit", id="limit"),
        pytest.param({"steps": [{"percent": 1 + at} for at in range(60)]}, "policy.steps", id="too many"),
        pytest.param({"tolerated_ratio": 0.5}, "policy.tolerated_ratio", id="ratio"),
        pytest.param({"false_rollback_rate": 0.5}, "policy.false_rollback_rate", id="rate"),
        pytest.param({"margin_percent": -1}, "policy.margin_percent", id="margin"),
        pytest.param({"no_data_timeout": "1s"}, "policy.no_data_timeout", id="impatient"),
        pytest.param({"strategy": 2, "steps": [{"percent": 5}, {"percent": 100}]}, "policy.steps", id="two steps"),
        pytest.param({"shadow": {}}, "policy.shadow", id="a canary's shadow"),
        pytest.param({"strategy": 2, "warm": "60s"}, "policy.warm", id="a warm switch"),
        pytest.param({"strategy": 5, "warm": "60s"}, "policy.warm", id="a warm shadow"),
        pytest.param({"warm": "0.1s"}, "policy.warm", id="hardly warm"),
        pytest.param({"max_utilisation_percent": -1}, "policy.max_utilisation_percent", id="less than idle"),
        pytest.param({"on_drift": 7}, "policy.on_drift", id="no answer to a drift"),
        pytest.param(
            {"strategy": 5, "shadow": {"percent": 101}}, "policy.shadow.percent", id="more copies than answers"
        ),
        pytest.param({"strategy": 5, "shadow": {"percent": "NaN"}}, "policy.shadow.percent", id="no share"),
        pytest.param({"strategy": 5, "shadow": {"min_pairs": 0}}, "policy.shadow.min_pairs", id="no pairs"),
        pytest.param(
            {"strategy": 5, "shadow": {"max_flips_percent": -1}}, "policy.shadow.max_flips_percent", id="flips"
        ),
        pytest.param(
            {"strategy": 5, "shadow": {"max_slice_flips_percent": "NaN"}},
            "policy.shadow.max_slice_flips_percent",
            id="slice flips",
        ),
        pytest.param(
            {"strategy": 5, "shadow": {"dwell": "9s", "limit": "3s"}}, "policy.shadow.limit", id="shadow limit"
        ),
        pytest.param({"strategy": 5, "shadow": {"then": 9}}, "policy.shadow.then", id="then what"),
        pytest.param(
            {"strategy": 5, "shadow": {"then": 2}, "steps": [{"percent": 100}]}, "policy.steps", id="then both"
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_field(text: dict, field: str):
    with pytest.raises(InvalidArgument) as refused:
        convert.policy_of(policy(text))
    assert field in {one.field for one in refused.value.violations}
    assert refused.value.reason == "POLICY_INVALID"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_lead_to_anything_but_a_policy_or_a_refusal(data: bytes):
    try:
        message = pb.RolloutPolicy.FromString(data)
    except Exception:
        return
    try:
        found = convert.policy_of(message)
    except InvalidArgument:
        return
    assert policy_of(policy_json(found)) == found


@pytest.mark.parametrize("name", ["", "models/", "models/A", "models/a/rollouts/x", "models/a/rollouts/" + "9" * 30])
def test_names_that_are_none_are_refused(name: str):
    with pytest.raises(InvalidArgument):
        convert.rollout_of(name)
