"""The published cases of Knative's pod autoscaler, decided by our policy with Knative's rules.

Source: knative/serving, pkg/autoscaler/scaling/autoscaler_test.go: every call there that expects a scale, in order,
named as there. Its metrics are the averages over both windows; here samples are put into the memory that have them.
Knative does not know what was asked for last; it is what the step before decided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from headrace_scaling.decisions import presets
from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.memory import Memory, begin
from headrace_scaling.decisions.observations import Metric, Observation, Replicas, Signal
from headrace_scaling.decisions.policies import Growth, Panic, PoolPolicy

from tests.kit.rows import each

CONCURRENCY = Metric.CONCURRENCY


def spec(target: float, reserve: float, up: float = 10.0, down: float | None = 10.0, activation: int = 1) -> PoolPolicy:
    policy = presets.knative(target, metric=CONCURRENCY, most=10_000)
    assert policy.scale_to_zero is not None
    return replace(
        policy,
        growth=Growth(up, down),
        activation_replicas=activation,
        burst_reserve=reserve,
        capacity=target / 0.75,
        max_gap_s=3600.0,
        scale_to_zero=replace(policy.scale_to_zero, after_s=0.0),
    )


def delayed(delay_s: float, down: float | None = 10.0) -> PoolPolicy:
    return replace(spec(10.0, 0.0, down=down), scale_down_window_s=delay_s, panic=Panic(threshold=100.0))


@dataclass(frozen=True)
class Step:
    """One call: at a time, with ready pods and the averages of both windows. policy: from then on another."""

    at: float
    ready: int
    stable: float | None
    panic: float
    expected: int
    policy: PoolPolicy | None = None


CASES: list[tuple[str, PoolPolicy, Sequence[Step]]] = [
    (
        "ScaleDownDelay",
        delayed(300.0),
        [
            Step(2, 0, 40, 40, 4),
            Step(300, 0, 0, 0, 4),
            Step(302, 0, 0, 0, 0),
            Step(540, 0, 40, 40, 4),
            Step(600, 0, 30, 30, 4),
            Step(660, 0, 0, 0, 4),
            Step(840, 0, 0, 0, 3),
            Step(900, 0, 0, 0, 0),
        ],
    ),
    (
        # What is not reachable is scaled down without delay and without a rate. The clock goes back there too.
        "ScaleDownDelayNotReachable",
        delayed(300.0),
        [Step(2, 0, 40, 40, 4), Step(60, 0, 0, 0, 4), Step(2, 0, 0, 0, 0, delayed(0.0, down=None))],
    ),
    ("ScaleDownDelayZero", delayed(0.0), [Step(0, 0, 40, 40, 4), Step(0.5, 0, 20, 20, 2)]),
    # No decision there, an unchanged count here.
    ("NoDataNoAutoscale", spec(10, 100), [Step(0, 1, None, 0, 1)]),
    ("Metrics", spec(10, 100), [Step(0, 1, 50, 50, 5)]),
    ("MetricsWithRPS", spec(10, 100), [Step(61, 1, 100, 99, 10)]),
    (
        "StableModeIncreaseWithConcurrencyDefault",
        spec(10, 101),
        [Step(0, 1, 50, 10, 5), Step(0, 1, 100, 10, 10)],
    ),
    ("StableModeIncreaseWithRPS", spec(10, 101), [Step(0, 1, 50, 50, 5), Step(0, 1, 100, 99, 10)]),
    (
        "UnpanicAfterSlowIncrease",
        spec(1, 98),
        [Step(0, 10, 11, 25, 25), Step(30, 40, 30, 41, 41), Step(62, 55, 50, 56, 50)],
    ),
    ("ExtendPanicWindow", spec(1, 98), [Step(0, 10, 11, 25, 25), Step(30, 40, 30, 80, 80)]),
    ("StableModeDecrease", spec(10, 98), [Step(0, 8, 100, 100, 10), Step(0, 8, 50, 50, 5)]),
    ("StableModeNoTrafficScaleToZero", spec(10, 75), [Step(0, 1, 1, 0, 1), Step(0, 1, 0, 0, 0)]),
    ("ActivationScale", spec(10, 75, activation=2), [Step(0, 1, 0, 0, 0), Step(0, 1, 1, 0, 2)]),
    (
        "PanicModeExponentialTrackAndStabilize",
        spec(1, 101),
        [
            Step(0, 1, 6, 6, 6),
            Step(0, 6, 36, 36, 36),
            Step(1, 36, 216, 216, 216),
            Step(1, 216, 1296, 1296, 1296),
            Step(2, 1296, 1296, 1296, 1296),
        ],
    ),
    ("AutoscalerNoDataAtZeroNoAutoscale", spec(10, 100), [Step(0, 1, 0, 0, 0)]),
    ("AutoscalerNoDataAtZeroNoAutoscaleWithExplicitEPs", spec(10, 100), [Step(0, 1, 0, 0, 0)]),
    ("AutoscalerStableModeUnlimitedTBC", spec(181, -1), [Step(0, 1, 21, 26, 1)]),
    ("Autoscaler0TBC", spec(10, 0), [Step(0, 1, 50, 49, 5)]),
    ("AutoscalerStableModeNoChange", spec(10, 100), [Step(0, 1, 50, 50, 5)]),
    ("AutoscalerStableModeNoChangeAlreadyScaled", spec(10, 100), [Step(0, 5, 50, 50, 5)]),
    ("AutoscalerStableModeIncreaseWithSmallScaleUpRate", spec(1, 1982, up=1.1), [Step(0, 2, 3, 3.1, 3)]),
    ("AutoscalerStableModeDecreaseWithSmallScaleDownRate", spec(10, 1982, down=1.1), [Step(0, 100, 1, 1, 90)]),
    ("AutoscalerStableModeDecreaseNonReachable", spec(10, 1982, down=None), [Step(0, 100, 1, 1, 1)]),
    ("AutoscalerPanicModeDoublePodCount", spec(10, 84), [Step(0, 1, 50, 100, 10)]),
    (
        "PanicThenUnPanicScaleDown",
        spec(10, 93),
        [Step(0, 1, 100, 100, 10), Step(0, 10, 100, 1000, 100), Step(30, 10, 1, 1, 100), Step(61, 10, 1, 1, 1)],
    ),
    ("RateLimitScaleUp", spec(10, 61), [Step(0, 1, 1000, 1001, 10), Step(0, 10, 1000, 1001, 100)]),
    ("RateLimitScaleDown", spec(10, 61), [Step(0, 100, 1, 1, 10), Step(0, 10, 1, 1, 1)]),
    ("UseOnePodAsMinimumIfEndpointsNotFound", spec(10, 81), [Step(0, 0, 1000, 888, 10)]),
    ("UpdateTarget", spec(10, 77), [Step(0, 1, 100, 101, 10), Step(0, 10, 100, 101, 100, spec(1, 71))]),
]


def test_every_call_that_expects_a_scale_is_here():
    assert len(CASES) == 29
    assert sum(len(steps) for _, _, steps in CASES) == 57


@each("policy,steps", [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_knative_scales_it_so(policy: PoolPolicy, steps: Sequence[Step]):
    memory, asked_for = started(policy, 1), 1
    for step in steps:
        policy = step.policy or policy
        memory, asked_for = call(policy, memory, step, asked_for)


@pytest.mark.parametrize(
    ("stable", "panic", "expected"),
    [
        pytest.param(50, 30, 50, id="AutoscalerPanicStableLargerThanPanic"),
        pytest.param(20, 30, 30, id="AutoscalerPanicStableLessThanPanic"),
    ],
)
def test_in_panic_the_larger_window_counts(stable: float, panic: float, expected: int):
    policy = spec(1, 100)
    memory = replace(started(policy, 1), panic_since=-5.0, panic_peak=5)
    call(policy, memory, Step(0, 5, stable, panic, expected), 5)


@pytest.mark.parametrize(("ready", "in_panic"), [(0, False), (1, False), (2, True)])
def test_start_in_panic_mode(ready: int, in_panic: bool):
    memory = started(spec(10, 11), ready)
    assert (memory.panic_since is not None) is in_panic
    assert memory.panic_peak == (ready if in_panic else 0)


def started(policy: PoolPolicy, ready: int) -> Memory:
    return begin(policy, Observation("revision", 0.0, Replicas(ready, requested=ready)))


def call(policy: PoolPolicy, memory: Memory, step: Step, asked_for: int) -> tuple[Memory, int]:
    """Decide once, check the count and the excess burst capacity, and return what the next call begins with."""
    older = samples_before(step)
    memory = replace(memory, samples={CONCURRENCY: older})
    value = None if step.stable is None else step.panic
    replicas = Replicas(step.ready, requested=asked_for)
    seen = Observation("revision", step.at, replicas, {CONCURRENCY: Signal(value)})
    if step.at < memory.now:  # the samples are of the new clock already
        memory = replace(memory, samples={CONCURRENCY: tuple((at + memory.now - step.at, v) for at, v in older)})
    decision, memory = decide(policy, memory, seen)
    assert decision.desired == step.expected
    reserve, capacity = policy.burst_reserve, policy.capacity
    if value is not None and reserve is not None and capacity is not None and reserve > 0:
        assert decision.excess_burst_capacity == pytest.approx(
            math.floor(capacity * step.ready - reserve - value), abs=1
        )
    elif value is not None:
        assert decision.excess_burst_capacity == (0 if reserve == 0 else -1)
    return memory, decision.desired


def samples_before(step: Step) -> tuple[tuple[float, float], ...]:
    """Return samples that are older than the panic window and bring the stable window to its average."""
    if step.stable is None:
        return ()
    count = max(1, math.ceil(step.panic / step.stable) - 1) if step.stable else 1
    value = ((count + 1) * step.stable - step.panic) / count
    return ((step.at - 30.0, value),) * count
