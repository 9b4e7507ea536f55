"""Policies as strangers send them: what is wrong is named by field, and nothing else gets in."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import policy_pb2
from headrace_autoscaler.names import decision_of, pool_of
from headrace_autoscaler.policies.convert import policy_of, to_message
from headrace_autoscaler.policies.declared import DeclaredPolicy, declared
from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.observations import Metric, Observation, Replicas, Signal
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.autoscaler.pools import message
from tests.kit.rows import each

NAN = math.nan
HUGE = Duration(seconds=315_576_000_000)


@each(
    "fields,field",
    [
        ({"preset": "nobody"}, "policy.preset"),
        ({"targets": []}, "policy.targets"),
        ({"targets": [policy_pb2.Target(metric="qps", value=1)]}, "policy.targets[0].metric"),
        ({"targets": [policy_pb2.Target(metric="concurrency", value=NAN)]}, "policy.targets[0].value"),
        ({"targets": [policy_pb2.Target(metric="concurrency", value=-1)]}, "policy.targets[0].value"),
        ({"targets": [policy_pb2.Target(metric="concurrency", value=1)] * 9}, "policy.targets"),
        ({"min_replicas": -1}, "policy.min_replicas"),
        ({"min_replicas": 0}, "policy.min_replicas"),
        ({"max_replicas": 0}, "policy.max_replicas"),
        ({"max_replicas": 100_000}, "policy.max_replicas"),
        ({"tolerance": NAN}, "policy.tolerance"),
        ({"interval": Duration(nanos=1)}, "policy.interval"),
        ({"stable_window": HUGE}, "policy.stable_window"),
        ({"scale_up_cooldown": Duration(seconds=-1)}, "policy.scale_up_cooldown"),
        ({"panic": policy_pb2.Panic(window=Duration(seconds=5), threshold=NAN)}, "policy.panic"),
        ({"growth": policy_pb2.Growth(up=math.inf, down=0.5)}, "policy.growth"),
        ({"look_ahead": policy_pb2.LookAhead(window=HUGE)}, "policy.look_ahead.window"),
        ({"look_ahead": policy_pb2.LookAhead(window=Duration(seconds=60), most=NAN)}, "policy.look_ahead.most"),
        ({"scale_down_limit": policy_pb2.StepLimit(share=NAN, period=Duration(seconds=9))}, "policy.scale_down_limit"),
        ({"season": policy_pb2.Season(quantile=2.0)}, "policy.season"),
        ({"scale_to_zero": policy_pb2.ScaleToZero(after=HUGE)}, "policy.scale_to_zero.after"),
        ({"overflow": policy_pb2.Overflow(pool="default", per_replica=1, max_replicas=1)}, "policy.overflow.pool"),
        ({"overflow": policy_pb2.Overflow(pool="cpu", per_replica=NAN, max_replicas=1)}, "policy.overflow"),
        ({"budget": policy_pb2.Budget(money=5)}, "policy.budget"),
        ({"schedules": [policy_pb2.Schedule(name="a", start="25:00", end="06:00")]}, "policy.schedules[0]"),
        (
            {"schedules": [policy_pb2.Schedule(name="a", start="22:00", end="06:00", time_zone="../etc/passwd")]},
            "policy.schedules[0].time_zone",
        ),
        (
            {"schedules": [policy_pb2.Schedule(name="a", start="22:00", end="06:00", time_zone="Mars/Olympus")]},
            "policy.schedules[0].time_zone",
        ),
        ({"ready_deadline": HUGE}, "policy.ready_deadline"),
        ({"capacity": NAN}, "policy.capacity"),
        ({"bridged_starts": 101.0}, "policy.bridged_starts"),
    ],
)
def test_what_is_wrong_with_a_policy_is_named_by_its_field(fields: dict[str, Any], field: str):
    with pytest.raises(InvalidArgument) as refused:
        policy_of(message(**fields))
    assert refused.value.reason == "POLICY_INVALID"
    assert any(one.field.startswith(field) for one in refused.value.violations), refused.value.violations


def test_an_answer_has_every_field_filled_in_and_can_be_put_again():
    first = policy_of(message())
    shown = to_message("default", first)
    assert (shown.min_replicas, shown.panic.threshold, shown.season.days, shown.bridged_starts) == (1, 1.2, 14, 8)
    assert to_message("default", policy_of(shown)) == shown
    assert policy_of(message(scale_down_window=Duration(seconds=5))).policy.bridged_starts == 0
    assert declared(first.document()) == first


_numbers = st.floats(allow_nan=True, allow_infinity=True)
_counts = st.integers(-2, 2_000)
_durations = st.builds(Duration, seconds=st.integers(-10, 10**6), nanos=st.integers(0, 999_999_999))


@given(
    st.builds(
        policy_pb2.ScalingPolicy,
        name=st.just("pools/default/policy"),
        preset=st.sampled_from(["", "headrace", "kubernetes", "knative"]),
        targets=st.lists(
            st.builds(policy_pb2.Target, metric=st.sampled_from(list(Metric)), value=_numbers), max_size=3
        ),
        min_replicas=_counts,
        max_replicas=_counts,
        tolerance=_numbers,
        interval=_durations,
        stable_window=_durations,
        scale_down_window=_durations,
        panic=st.builds(policy_pb2.Panic, window=_durations, threshold=_numbers),
        growth=st.builds(policy_pb2.Growth, up=_numbers, down=_numbers),
        scale_up_limit=st.builds(policy_pb2.StepLimit, replicas=_counts, share=_numbers, period=_durations),
        look_ahead=st.builds(policy_pb2.LookAhead, window=_durations, most=_numbers),
        season=st.builds(policy_pb2.Season, quantile=_numbers, days=_counts, min_days=_counts, value=_numbers),
        budget=st.builds(policy_pb2.Budget, replica_hours=_numbers, warn_at=_numbers),
    )
)
def test_whatever_is_sent_is_refused_by_field_or_decides_within_its_bounds(sent: policy_pb2.ScalingPolicy):
    try:
        taken: DeclaredPolicy = policy_of(sent)
    except InvalidArgument as error:
        if not error.violations:
            raise
        return
    signals = {metric: Signal(900.0, 1.0) for metric in Metric}
    decision, _ = decide(taken.policy, None, Observation("default", 1e9, Replicas(1), signals))
    assert 0 <= decision.desired <= taken.policy.max_replicas


@pytest.mark.parametrize("name", ["", "pools/", "pools/A", "pools/a/b", "pool/a", "pools/a--b", "pools/" + "a" * 64])
def test_a_name_that_is_none_is_refused(name: str):
    with pytest.raises(InvalidArgument):
        pool_of(name, "name")


@pytest.mark.parametrize("name", ["pools/a/decisions/", "pools/a/decisions/-1", "pools/a/decisions/1e9", "decisions/1"])
def test_a_decision_that_is_none_is_refused(name: str):
    with pytest.raises(InvalidArgument):
        decision_of(name, "name")
    assert decision_of("pools/a/decisions/latest", "name") == ("a", None)
