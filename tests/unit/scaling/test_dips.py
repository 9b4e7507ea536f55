"""Demand that falls and comes back: replicas stay where starting them again would cost more."""

from dataclasses import replace

import numpy as np
import pytest
from headrace_scaling.decisions import presets
from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.decision import Decision, Limit
from headrace_scaling.decisions.observations import Metric, Observation, Replicas, Signal
from headrace_scaling.decisions.policies import PoolPolicy
from headrace_scaling.simulation.deciders import PolicyDecider
from headrace_scaling.simulation.run import Outcome, simulate
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import Trace

POLICY = replace(presets.headrace(420.0), season=None)


def decided(demand: list[float], policy: PoolPolicy = POLICY, start_s: float = 45.0) -> list[Decision]:
    """Return the decisions, one each 5 s, of a pool whose replicas are ready at once."""
    memory, count, decisions = None, 2, []
    for at, rate in enumerate(demand):
        signals = {Metric.REQUESTS_PER_S: Signal(rate)}
        seen = Observation("gpu", 1e9 + 5.0 * at, Replicas(count), signals, load_time_s=start_s)
        decision, memory = decide(policy, memory, seen)
        decisions.append(decision)
        count = decision.desired
    return decisions


def on_off(seconds: int, times: int = 4) -> list[float]:
    return ([500.0] * (seconds // 5) + [6_000.0] * (seconds // 5)) * times


def test_a_dip_that_comes_back_is_bridged_from_then_on_and_explained():
    decisions = decided(on_off(150))
    assert min(one.desired for one in decisions[:90]) == 2
    assert {one.desired for one in decisions[120:]} == {15}
    held = decisions[-35]
    assert held.clamps[0].limit is Limit.SCALE_DOWN_WINDOW
    assert held.sentences[2] == ("More were wanted within the scale-down window of 194 s: 2 became 15.")


@pytest.mark.parametrize(
    ("policy", "start_s"),
    [(POLICY, 15.0), (replace(POLICY, bridged_starts=3.0), 45.0), (replace(POLICY, bridged_starts=0.0), 45.0)],
)
def test_a_dip_that_lasts_longer_than_starts_are_worth_is_not(policy: PoolPolicy, start_s: float):
    decisions = decided(on_off(150), policy, start_s)
    assert min(one.desired for one in decisions[120:]) == 2


def test_dips_are_forgotten_when_demand_no_longer_comes_back():
    decisions = decided([*on_off(150), *[500.0] * 120])
    assert [one.desired for one in decisions[-60:]] == [2] * 60


def test_a_policy_that_no_longer_bridges_dips_forgets_them():
    memory = None
    for at, rate in enumerate(on_off(150, 2)):
        signals = {Metric.REQUESTS_PER_S: Signal(rate)}
        _, memory = decide(POLICY, memory, Observation("gpu", 1e9 + 5.0 * at, Replicas(15), signals, load_time_s=45.0))
    assert memory is not None
    assert memory.dips
    seen = Observation("gpu", memory.now + 5.0, Replicas(15), {Metric.REQUESTS_PER_S: Signal(500.0)})
    assert not decide(replace(POLICY, bridged_starts=0.0), memory, seen)[1].dips


def test_a_replica_more_or_less_is_no_dip():
    rates = np.random.default_rng(3).choice([1_000.0, 1_400.0], 400).tolist()
    windows = {clamp.detail for one in decided(rates) for clamp in one.clamps if clamp.limit is Limit.SCALE_DOWN_WINDOW}
    assert windows <= {""}


def test_replicas_are_held_for_longer_than_a_start_takes():
    held = decided([6_000.0] * 30 + [500.0] * 60, start_s=120.0)[55]
    assert [(clamp.limit, clamp.detail) for clamp in held.clamps] == [(Limit.SCALE_DOWN_WINDOW, " of 150 s")]


def simulated(rates: np.ndarray) -> Outcome:
    requests = np.random.default_rng(1).poisson(rates).astype(np.float64)
    return simulate("", Trace("dips", requests), PolicyDecider(presets.headrace(420.0)), Setup())


def test_on_and_off_every_two_minutes_does_not_flap():
    outcome = simulated(np.where(np.arange(7_200) // 120 % 2, 6_000.0, 500.0))
    assert outcome.turns <= 2
    assert outcome.violations < 0.03


def test_a_wave_of_90_s_neither_flaps_nor_looks_beyond_its_top():
    outcome = simulated(3_250.0 - 2_750.0 * np.cos(np.arange(7_200) * 2 * np.pi / 90))
    assert outcome.turns <= 2
    assert outcome.violations < 0.03
    assert outcome.replica_hours < 31.0
