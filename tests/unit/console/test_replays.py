"""What a form changes of a policy before its decisions are replayed."""

import pytest
from headrace.autoscaler.v1 import autoscaler_pb2, policy_pb2
from headrace_console.pages.replays import WhatIf, picture, what_if

POLICY = policy_pb2.ScalingPolicy(
    name="pools/default/policy",
    min_replicas=1,
    max_replicas=5,
    targets=[policy_pb2.Target(metric="requests_per_s", value=100), policy_pb2.Target(metric="shed_per_s", value=1)],
)


def test_only_what_the_form_names_is_changed_and_the_policy_in_force_is_not():
    _, asked = what_if({"max": "9", "target": "0.5", "min": " "})
    changed = asked.applied(POLICY)
    assert (changed.min_replicas, changed.max_replicas) == (1, 9)
    assert [target.value for target in changed.targets] == [0.5, 1]
    assert (POLICY.max_replicas, POLICY.targets[0].value) == (5, 100)
    assert not what_if({})[1].changes


@pytest.mark.parametrize("text", ["many", "-1", "2.5", "nan", "inf", "1e9", "<b>"])
def test_what_is_no_number_is_named(text: str):
    wrong, asked = what_if({"min": text})
    assert wrong.startswith("Fewest replicas: “")
    assert asked == WhatIf(None, None, None)


def test_a_day_of_decisions_is_drawn_with_few_points():
    decision = autoscaler_pb2.ReplayResponse(recorded=autoscaler_pb2.Decision(desired_replicas=2))
    assert str(picture([decision] * 20_000)).count("<circle") <= 480
