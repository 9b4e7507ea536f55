"""What the policy decides, rule by rule."""

import math
from dataclasses import replace

import pytest
from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.decision import Concern, Decision, Limit, Rule
from headrace_scaling.decisions.memory import Memory
from headrace_scaling.decisions.observations import Metric, ModelLoad, Observation, Replicas, Signal
from headrace_scaling.decisions.policies import (
    Budget,
    LookAhead,
    Overflow,
    PoolPolicy,
    ScaleToZero,
    Schedule,
    Season,
    StepLimit,
    Target,
)
from headrace_scaling.documents import from_json

RPS = Metric.REQUESTS_PER_S
NOW = 1_790_000_000.0
POLICY = PoolPolicy(targets=(Target(RPS, 100.0),), max_replicas=20, cooldown_down_s=0.0, scale_down_window_s=0.0)


def seen(rps: float | None, replicas: Replicas | int = 4, at: float = 0.0, **more: object) -> Observation:
    counted = Replicas(ready=replicas) if isinstance(replicas, int) else replicas
    given = {"signals": {RPS: Signal(rps)}, **more}
    return Observation("gpu", NOW + at, counted, **given)  # pyright: ignore[reportArgumentType]


def decided(policy: PoolPolicy, *observations: Observation, memory: Memory | None = None) -> Decision:
    decision = None
    for observation in observations:
        decision, memory = decide(policy, memory, observation)
    assert decision is not None
    return decision


@pytest.mark.parametrize(
    ("ready", "rps", "expected"),
    [
        pytest.param(1, 400.0, 4, id="a step to four times the load is one decision"),
        pytest.param(4, 440.0, 4, id="a tenth above the target is tolerated"),
        pytest.param(4, 450.0, 5, id="more than the tolerance is not"),
        pytest.param(4, 365.0, 4, id="a tenth below is tolerated"),
        pytest.param(4, 150.0, 2, id="half the load needs half the replicas"),
        pytest.param(4, 0.0, 1, id="an idle pool falls to its minimum"),
        pytest.param(4, 1e12, 20, id="no load needs more than the maximum"),
    ],
)
def test_load_is_shared_at_the_target(ready: int, rps: float, expected: int):
    assert decided(POLICY, seen(rps, ready)).desired == expected


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -1.0])
def test_a_value_that_cannot_be_used_never_scales_down(value: float | None):
    decision = decided(POLICY, seen(value, 9))
    assert decision.desired == 9
    assert decision.rule is Rule.NO_DATA
    assert Concern.SIGNAL_UNUSABLE in decision.concerns


def test_a_stale_value_never_scales_down():
    stale = replace(seen(10.0, 9), signals={RPS: Signal(10.0, age_s=POLICY.max_age_s + 1)})
    assert decided(POLICY, stale).desired == 9


def test_any_target_scales_up_and_all_must_agree_to_scale_down():
    policy = replace(POLICY, targets=(*POLICY.targets, Target(Metric.GPU_UTILISATION, 0.7)))

    def pool(rps: float, utilisation: float | None) -> Observation:
        return seen(rps, 4, signals={RPS: Signal(rps), Metric.GPU_UTILISATION: Signal(utilisation)})

    assert decided(policy, pool(100.0, 4 * 0.95)).desired == 6
    assert decided(policy, pool(100.0, 4 * 0.65)).desired == 4
    assert decided(policy, pool(800.0, 4 * 0.05)).desired == 8
    assert decided(policy, pool(100.0, None)).desired == 4
    assert decided(policy, pool(800.0, None)).desired == 8
    assert decided(policy, pool(100.0, 4 * 0.1)).desired == 1


def test_a_queue_scales_up_and_has_no_say_when_it_is_empty():
    policy = replace(POLICY, targets=(*POLICY.targets, Target(Metric.PREDICTED_WAIT_S, 0.05, up_only=True)))

    def pool(wait_s: float) -> Observation:
        return seen(100.0, 4, signals={RPS: Signal(100.0), Metric.PREDICTED_WAIT_S: Signal(wait_s)})

    assert decided(policy, pool(0.1)).desired == 8
    assert decided(policy, pool(0.0)).desired == 1


def test_replicas_that_load_count_once_and_failed_or_draining_ones_do_not():
    step = seen(1200.0, Replicas(ready=2, loading=10, failed=3, draining=4, requested=12))
    decision = decided(POLICY, step)
    assert decision.desired == 12
    assert decision.concerns == (Concern.REPLICAS_FAILED,)


def test_the_next_decision_counts_from_what_was_acknowledged():
    refused = seen(1200.0, Replicas(ready=2, requested=2))
    decision = decided(POLICY, seen(1200.0, Replicas(ready=2, requested=2)), replace(refused, now=NOW + 5))
    assert (decision.before, decision.desired) == (2, 12)


def test_the_pool_is_scaled_down_to_the_most_that_was_wanted_within_the_window():
    policy = replace(POLICY, scale_down_window_s=300.0, stable_window_s=0.0)
    first = [seen(900.0, 9, 0.0), seen(500.0, 9, 60.0), seen(100.0, 9, 120.0)]
    held = decided(policy, *first)
    assert held.desired == 9
    assert held.clamps[0].limit is Limit.SCALE_DOWN_WINDOW
    later = [seen(100.0, 9, 120.0 + 60.0 * i) for i in range(1, 6)]
    assert decided(policy, *first, *later[:2]).desired == 9
    assert decided(policy, *first, *later[:3]).desired == 5
    assert decided(policy, *first, *later).desired == 1


def test_a_restart_without_memory_keeps_the_scale_for_a_window():
    policy = replace(POLICY, scale_down_window_s=300.0)
    assert decided(policy, seen(0.0, 9)).desired == 9


def test_a_long_pause_is_a_restart_and_a_clock_set_back_is_not():
    policy = replace(POLICY, scale_down_window_s=300.0, stable_window_s=0.0)
    quiet = [seen(100.0, 9, 10.0 * i) for i in range(40)]
    assert decided(policy, *quiet).desired == 1
    assert decided(policy, *quiet, seen(100.0, 9, 3600.0 + 400.0)).desired == 9
    assert decided(policy, *quiet, seen(100.0, 9, -3600.0)).desired == 1
    assert decided(policy, *quiet[:20], seen(100.0, 9, -3600.0)).desired == 9


def test_nothing_is_removed_within_the_cooldown_after_a_change():
    policy = replace(POLICY, cooldown_down_s=60.0, stable_window_s=0.0)
    up = [seen(900.0, 4, 0.0), seen(900.0, 9, 5.0)]
    held = decided(policy, *up, seen(100.0, 9, 60.0))
    assert held.desired == 9
    assert held.clamps[0].limit is Limit.COOLDOWN
    assert "5 s of cooldown" in " ".join(held.sentences)
    assert decided(policy, *up, seen(100.0, 9, 65.0)).desired == 1


def test_a_period_bounds_what_is_added_and_what_is_removed():
    up = replace(POLICY, stable_window_s=0.0, step_up=StepLimit(replicas=2, share=0.5, period_s=60.0))
    assert decided(up, seen(2000.0, 2)).desired == 4
    assert decided(up, seen(2000.0, 10)).desired == 15
    assert decided(up, seen(2000.0, 2, 0.0), seen(2000.0, 4, 5.0)).desired == 4
    assert decided(up, seen(2000.0, 2, 0.0), seen(2000.0, 4, 5.0), seen(2000.0, 4, 66.0)).desired == 6
    down = replace(POLICY, stable_window_s=0.0, step_down=StepLimit(replicas=1, period_s=60.0))
    assert decided(down, seen(100.0, 9)).desired == 8


def test_rising_demand_is_met_as_it_will_be_when_a_replica_has_loaded():
    policy = replace(POLICY, look_ahead=LookAhead(), tolerance=0.05)
    ramp = [seen(300.0 + 6.0 * i, 4, 5.0 * i, load_time_s=55.0) for i in range(13)]
    decision = decided(policy, *ramp)
    assert decision.rule is Rule.LOOK_AHEAD
    assert decision.demand == pytest.approx(372.0 + 72.0)
    assert decision.desired == 5
    noise = [seen(330.0 + (-40.0) ** (i % 2), 4, 5.0 * i, load_time_s=55.0) for i in range(13)]
    assert decided(policy, *noise).rule is not Rule.LOOK_AHEAD


def test_earlier_days_set_a_floor():
    policy = replace(POLICY, season=Season(quantile=0.5, min_days=3))
    assert decided(policy, seen(100.0, 1, seasonal_peaks=(800.0, 900.0))).desired == 1
    surge = decided(policy, seen(100.0, 1, seasonal_peaks=(800.0, 900.0, 1000.0)))
    assert (surge.desired, surge.rule, surge.demand) == (9, Rule.SEASON, 900.0)
    assert "earlier days peaked at 900" in surge.sentences[1]


def test_a_pool_goes_to_zero_once_it_has_been_idle_and_comes_back_at_once():
    policy = replace(POLICY, min_replicas=0, stable_window_s=10.0, scale_to_zero=ScaleToZero(after_s=60.0))
    idle = [seen(0.0, 1, 5.0 * i) for i in range(12)]
    assert decided(policy, *idle).desired == 1
    assert decided(policy, *idle).clamps[-1].limit is Limit.IDLE_TIME
    assert decided(policy, *idle, seen(0.0, 1, 60.0)).desired == 0
    assert decided(policy, *idle, seen(None, 1, 60.0)).desired == 1
    assert decided(policy, *idle, seen(0.0, 1, 60.0), seen(0.5, 0, 65.0)).desired == 1


def test_a_schedule_has_its_own_bounds_on_its_own_clock():
    # 2026-09-21 is a Monday; at 14:13:20 UTC it is 16:13 in Berlin.
    night = Schedule("night", (0,), 22 * 60, 6 * 60, max_replicas=2)
    office = Schedule("office", (0, 1, 2, 3, 4), 16 * 60, 17 * 60, min_replicas=6, time_zone="Europe/Berlin")
    policy = replace(POLICY, schedules=(night, office))
    now = seen(100.0, 3, 14 * 3600 + 800 - NOW % 86_400)
    assert decided(policy, now).desired == 6
    assert decided(policy, replace(now, now=now.now + 3600)).desired == 1
    assert decided(policy, replace(seen(900.0, 2), now=now.now + 9 * 3600)).desired == 2
    assert decided(policy, replace(seen(900.0, 2), now=now.now + 15 * 3600)).desired == 2
    assert decided(policy, replace(seen(900.0, 2), now=now.now + 39 * 3600)).desired == 9


def test_a_budget_warns_before_it_bites_and_keeps_the_minimum():
    policy = replace(POLICY, max_gap_s=7200.0, budget=Budget(replica_hours=100.0))
    midnight = NOW - NOW % 86_400 - NOW
    hours = [seen(1000.0, 10, midnight + 3600.0 * hour) for hour in range(24)]
    assert decided(policy, *hours[:2]).concerns == (Concern.BUDGET_NEARLY_USED,)
    assert decided(policy, *hours[:2]).desired == 10
    bites = decided(policy, *hours[:9])
    assert bites.desired == 5
    assert bites.clamps[-1].limit is Limit.BUDGET
    assert bites.concerns == (Concern.BUDGET_LIMITS,)
    assert decided(policy, *hours[:12]).desired == 1
    assert decided(policy, *hours, seen(1000.0, 1, midnight + 86_400.0)).desired == 10


def test_money_buys_replica_hours():
    assert Budget(money=72.0, price_per_replica_hour=3.0).hours == 24.0
    assert Budget(replica_hours=10.0, money=72.0, price_per_replica_hour=3.0).hours == 10.0


def test_the_pool_has_the_sum_of_its_models_and_says_who_drives_it():
    loads = (ModelLoad("fraud", {RPS: Signal(700.0)}), ModelLoad("digits", {RPS: Signal(200.0)}))
    decision = decided(POLICY, Observation("gpu", NOW, Replicas(4), models=loads))
    assert decision.desired == 9
    assert decision.driver == "fraud"
    assert "Model fraud asks for 78% of it." in decision.sentences
    silent = (*loads, ModelLoad("sentiment", {RPS: Signal(None)}))
    assert decided(POLICY, Observation("gpu", NOW, Replicas(20), models=silent)).desired == 20


def test_what_a_full_pool_cannot_serve_overflows_and_comes_back_slowly():
    policy = replace(POLICY, max_replicas=4, stable_window_s=0.0, overflow=Overflow("cpu", 10.0, 30, hold_s=60.0))
    full = decided(policy, seen(500.0, 4))
    assert full.overflow is not None
    assert full.overflow.share == pytest.approx(0.2)
    assert full.overflow.replicas == 10
    held = decided(policy, seen(500.0, 4), seen(300.0, 4, 30.0)).overflow
    assert held is not None
    assert held.share == pytest.approx(0.2)
    gone = decided(policy, seen(500.0, 4), seen(300.0, 4, 30.0), seen(300.0, 4, 61.0)).overflow
    assert gone is not None
    assert (gone.share, gone.replicas) == (0.0, 0)
    most = decided(policy, seen(5000.0, 4)).overflow
    assert most is not None
    assert most.share * 5000.0 <= 300.0 + 1e-9


def test_overflow_bridges_the_time_that_replicas_load():
    policy = replace(POLICY, overflow=Overflow("cpu", 10.0, 100, while_loading=True))
    loading = decided(policy, seen(1000.0, Replicas(ready=5, loading=5))).overflow
    assert loading is not None
    assert loading.share == pytest.approx(0.5)


def test_a_decision_is_told_in_sentences():
    assert decided(POLICY, seen(930.0, Replicas(ready=4, loading=2))).sentences == (
        "Pool gpu: add 4: 6 → 10 replicas (4 ready, 2 loading).",
        "requests_per_s of 930 at 100 for each replica needs 10 replicas.",
    )
    held = decided(replace(POLICY, max_replicas=8), seen(930.0, 8))
    assert held.sentences[-2:] == (
        "The policy's maximum: 10 became 8.",
        "The pool needs more replicas than it may have.",
    )


def test_overflow_stays_while_nobody_can_tell_the_demand_and_ends_with_the_policy():
    policy = replace(POLICY, max_replicas=4, stable_window_s=0.0, overflow=Overflow("cpu", 10.0, 30, hold_s=60.0))
    decision, memory = decide(policy, None, seen(500.0, 4))
    for at in (30.0, 300.0, 10_000.0):
        decision, memory = decide(policy, memory, seen(None, 4, at))
        assert decision.overflow is not None
        assert decision.overflow.replicas == memory.overflow_replicas == 10
    _, memory = decide(replace(policy, overflow=None), memory, seen(500.0, 4, 10_001.0))
    assert (memory.overflow, memory.overflow_replicas) == ((), 0)


def test_a_memory_of_a_release_that_did_not_count_overflow_is_read():
    memory = from_json(Memory, '{"now":1.0,"asked_for":3,"overflow":[[1.0,0.2]]}')
    assert memory == Memory(1.0, 3, overflow=((1.0, 0.2),))
