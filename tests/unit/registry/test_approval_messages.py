"""What is asked for with a promotion: the policy of a rollout is a document that the registry does not read."""

from __future__ import annotations

import json

import pytest
from google.protobuf.json_format import Parse
from headrace.registry.v1 import approval_pb2 as pb
from headrace.registry.v1 import registry_pb2
from headrace_registry.api.approval_messages import MAX_POLICY_CHARS, wanted_of
from headrace_servicekit.errors import InvalidArgument

NAME = "models/digits/versions/v2"
STAGING = registry_pb2.ModelVersion.STAGE_STAGING


def test_a_policy_is_stored_as_it_is_stated():
    wish = {"name": NAME, "rollout_policy": {"strategy": "STRATEGY_CANARY", "of_tomorrow": [1, {"x": None}]}}
    found = wanted_of(Parse(json.dumps(wish), pb.RequestPromotionRequest()))
    assert json.loads(found.rollout_policy) == wish["rollout_policy"]
    assert wanted_of(pb.RequestPromotionRequest(name=NAME, rollout_policy={})).rollout_policy == "{}"
    assert wanted_of(pb.RequestPromotionRequest(name=NAME)).rollout_policy == ""


@pytest.mark.parametrize(
    "wish",
    [
        pb.RequestPromotionRequest(rollout_policy={"x": float("nan")}),
        pb.RequestPromotionRequest(rollout_policy={"x": "x" * MAX_POLICY_CHARS}),
        pb.RequestPromotionRequest(rollout_policy={}, target_stage=STAGING),
    ],
    ids=["no number", "too long", "not to production"],
)
def test_a_policy_that_cannot_be_stored_is_refused(wish: pb.RequestPromotionRequest):
    wish.name = NAME
    with pytest.raises(InvalidArgument, match="rollout_policy"):
        wanted_of(wish)
