"""What is simulated is what is put: a policy's JSON and the message that the autoscaler takes say the same."""

from __future__ import annotations

import pytest
from headrace_autoscaler.policies.convert import policy_of
from headrace_scale.policies import message_of
from headrace_scaling.decisions import presets
from headrace_scaling.decisions.observations import Metric
from headrace_scaling.decisions.policies import (
    Budget,
    Overflow,
    PoolPolicy,
    ScaleToZero,
    Schedule,
    StepLimit,
    Target,
    TargetKind,
)

EVERYTHING = PoolPolicy(
    targets=(
        Target(Metric.REQUESTS_PER_S, 400.0),
        Target(Metric.GPU_UTILISATION, 0.7, TargetKind.REPLICA_MEAN, missing_as=1.0),
        Target(Metric.PREDICTED_WAIT_S, 0.05, up_only=True),
    ),
    min_replicas=0,
    max_replicas=12,
    interval_s=2.5,
    tolerance=0.0,
    step_up=StepLimit(replicas=4, share=1.0, period_s=15.0),
    scale_to_zero=ScaleToZero(after_s=600.0),
    overflow=Overflow("cpu", 20.0, 8, while_loading=True),
    schedules=(Schedule("night", (0, 4), 22 * 60, 6 * 60 + 30, max_replicas=4, time_zone="Europe/Berlin"),),
    budget=Budget(money=300.0, price_per_replica_hour=3.0),
    burst_reserve=20.0,
    capacity=500.0,
)


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(EVERYTHING, id="everything"),
        pytest.param(PoolPolicy((Target(Metric.CONCURRENCY, 8.0),)), id="nothing but a target"),
        pytest.param(presets.headrace(100.0), id="ours"),
        pytest.param(presets.kubernetes(100.0), id="kubernetes"),
        pytest.param(presets.knative(100.0), id="knative"),
    ],
)
def test_the_autoscaler_takes_a_policy_as_it_was_written(policy: PoolPolicy):
    taken = policy_of(message_of("default", policy)).policy
    explicit = [target.how for target in policy.targets]
    assert [target.how for target in taken.targets] == explicit
    assert taken == policy
