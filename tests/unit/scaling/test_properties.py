"""What holds of every decision, whatever the load does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

from headrace_scaling import documents
from headrace_scaling.decisions import presets
from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.decision import Decision
from headrace_scaling.decisions.memory import Memory
from headrace_scaling.decisions.observations import Metric, Observation, Replicas, Signal
from headrace_scaling.decisions.policies import PoolPolicy, StepLimit
from hypothesis import given, settings
from hypothesis import strategies as st

RPS = Metric.REQUESTS_PER_S
USABLE = st.floats(0.0, 50_000.0)
UNUSABLE = st.sampled_from([None, math.nan, math.inf, -1.0])
LOADS = st.lists(USABLE, min_size=1, max_size=80)
POLICIES = st.builds(
    lambda policy, cooldowns, window, step: replace(
        policy,
        min_replicas=1,
        cooldown_up_s=cooldowns[0],
        cooldown_down_s=cooldowns[1],
        scale_down_window_s=window,
        step_up=step,
    ),
    st.sampled_from([presets.headrace(500.0), presets.kubernetes(500.0), presets.knative(500.0)]),
    st.sampled_from([(0.0, 0.0), (0.0, 60.0), (30.0, 30.0), (60.0, 60.0), (60.0, 30.0)]),
    st.sampled_from([0.0, 60.0]),
    st.sampled_from([None, StepLimit(2, 0.5, 30.0)]),
)


def ran(policy: PoolPolicy, loads: list[float | None], *, lag: int = 2) -> Iterator[tuple[Observation, Decision]]:
    """Decide for a pool whose actuator acknowledges at once, and whose replicas are ready some ticks later."""
    memory: Memory | None = None
    asked_for = ready = 3
    loading: list[int] = []
    for tick, load in enumerate(loads):
        seen = Observation(
            "gpu",
            1_790_000_000.0 + policy.interval_s * tick,
            Replicas(ready, max(0, asked_for - ready), requested=asked_for),
            {RPS: Signal(load)},
        )
        decision, memory = decide(policy, memory, seen)
        yield seen, decision
        asked_for = decision.desired
        loading.append(asked_for)
        ready = min(asked_for, loading[max(0, len(loading) - 1 - lag)])


@given(POLICIES, LOADS)
@settings(deadline=None, max_examples=60)
def test_the_count_stays_within_its_bounds(policy: PoolPolicy, loads: list[float]):
    assert all(policy.min_replicas <= decision.desired <= policy.max_replicas for _, decision in ran(policy, [*loads]))


@given(POLICIES, LOADS)
@settings(deadline=None, max_examples=60)
def test_the_direction_changes_at_most_once_within_a_cooldown(policy: PoolPolicy, loads: list[float]):
    changes = [(decision.time, decision.change) for _, decision in ran(policy, [*loads]) if decision.change]
    for (before, _), (at, change) in itertools.pairwise(changes):
        assert at - before >= (policy.cooldown_up_s if change > 0 else policy.cooldown_down_s)
    turns = [at for (_, last), (at, change) in itertools.pairwise(changes) if (last > 0) != (change > 0)]
    if policy.cooldown_up_s == policy.cooldown_down_s:
        assert all(later - earlier >= policy.cooldown_up_s for earlier, later in itertools.pairwise(turns))
    # Where nothing delays scaling up, a turn up may follow a turn down at once, but not another turn down.
    assert all(later - earlier >= policy.cooldown_down_s for earlier, later in zip(turns, turns[2:], strict=False))


@given(POLICIES, st.lists(st.one_of(USABLE, UNUSABLE), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_a_tick_without_a_usable_signal_never_removes_a_replica(policy: PoolPolicy, loads: list[float | None]):
    for seen, decision in ran(policy, loads):
        if seen.signal(RPS).problem(policy.max_age_s) is not None:
            assert decision.change >= 0


@given(POLICIES, LOADS)
@settings(deadline=None, max_examples=40)
def test_a_replay_of_recorded_inputs_decides_the_same_to_the_bit(policy: PoolPolicy, loads: list[float]):
    recorded = [(documents.to_json(seen), documents.to_json(decision)) for seen, decision in ran(policy, [*loads])]
    stored_policy = documents.from_json(PoolPolicy, documents.to_json(policy))
    memory: Memory | None = None
    for seen, decided in recorded:
        again, memory = decide(stored_policy, memory, documents.from_json(Observation, seen))
        assert documents.to_json(again) == decided
        memory = documents.from_json(Memory, documents.to_json(memory))


@given(POLICIES, USABLE, USABLE, st.integers(0, 30), st.integers(0, 30))
@settings(deadline=None, max_examples=200)
def test_more_load_never_needs_fewer_replicas(policy: PoolPolicy, one: float, other: float, ready: int, loading: int):
    less, more = sorted((one, other))

    def wanted(load: float) -> int:
        return decide(policy, None, Observation("gpu", 0.0, Replicas(ready, loading), {RPS: Signal(load)}))[0].desired

    assert wanted(less) <= wanted(more)


@given(LOADS, st.integers(0, 79))
@settings(deadline=None, max_examples=60)
def test_a_restart_at_any_tick_without_memory_keeps_the_scale(loads: list[float], tick: int):
    for policy in (presets.headrace(500.0), presets.kubernetes(500.0)):
        seen, _ = list(ran(policy, [*loads]))[min(tick, len(loads) - 1)]
        again, _ = decide(policy, None, seen)
        assert again.desired >= min(seen.replicas.asked_for, policy.max_replicas)
