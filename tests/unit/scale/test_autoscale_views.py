"""What people are told of a policy."""

import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import policy_pb2
from headrace_scale.cli.autoscale.views import remark

ZERO = policy_pb2.ScaleToZero(after=Duration(seconds=600))


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (policy_pb2.ScalingPolicy(min_replicas=1, max_replicas=4), True),
        (policy_pb2.ScalingPolicy(min_replicas=2, max_replicas=4), False),
        (policy_pb2.ScalingPolicy(min_replicas=0, max_replicas=4, scale_to_zero=ZERO), False),
    ],
)
def test_a_policy_that_leaves_one_replica_alone_is_remarked_and_one_that_means_it_is_not(
    policy: policy_pb2.ScalingPolicy, told: bool
):
    said = remark(policy)
    assert (said is not None) is told
    assert said is None or "min_replicas: 2" in said
