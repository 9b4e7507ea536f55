"""Clients and rollouts of release 0.1.0 write and read policies of rollouts as a message, in fields of their own."""

from __future__ import annotations

import json

import pytest
from google.protobuf.json_format import MessageToDict
from headrace.registry.v1 import approval_pb2 as pb
from headrace_registry.api.approval_messages import wanted_of
from headrace_registry.api.former_policies import add_to
from headrace_servicekit.errors import InvalidArgument

POLICY = {"strategy": "STRATEGY_CANARY", "tolerated_ratio": 2.5, "ready_timeout": "60s"}
# Encoded by 0.1.0: a wish for a rollout by POLICY, and a request that holds it.
ENCODED = b"\x08\x01!\0\0\0\0\0\0\x04@J\x02\x08<"
WISH = b"\n\x19models/digits/versions/v22\x0f" + ENCODED
HELD = b"R\x0f" + ENCODED


def test_a_policy_as_0_1_0_sends_it_is_stored_as_the_json_that_it_always_was():
    assert json.loads(wanted_of(pb.RequestPromotionRequest.FromString(WISH)).rollout_policy) == POLICY


def test_a_request_is_read_by_0_1_0_with_its_policy():
    request = pb.PromotionRequest()
    add_to(request, json.dumps(POLICY))
    assert request.SerializeToString() == HELD
    assert MessageToDict(request) == {}, "JSON has it once"


def test_what_is_no_policy_today_is_left_out_for_0_1_0():
    request = pb.PromotionRequest()
    add_to(request, '{"strategy": "STRATEGY_OF_TOMORROW"}')
    assert request.SerializeToString() == b""


@pytest.mark.parametrize("policy", [b"\x08", b"J\x07\x08\x80\xa0\x94\xa5\x8d\x1d"], ids=["cut off", "32,000 years"])
def test_bytes_that_are_no_policy_are_refused(policy: bytes):
    name = WISH.removesuffix(b"2\x0f" + ENCODED)
    wish = pb.RequestPromotionRequest.FromString(name + bytes([0x32, len(policy)]) + policy)
    with pytest.raises(InvalidArgument, match="rollout_policy: is no policy"):
        wanted_of(wish)
