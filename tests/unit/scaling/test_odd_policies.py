"""A policy either is refused or decides: nothing that passes makes a decision fail."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from headrace_scaling import documents
from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.memory import Memory
from headrace_scaling.decisions.observations import Metric, Observation, Replicas, Signal
from headrace_scaling.decisions.policies import (
    Budget,
    Growth,
    LookAhead,
    Overflow,
    Panic,
    PoolPolicy,
    ScaleToZero,
    Schedule,
    Season,
    StepLimit,
    Target,
    violations,
)
from hypothesis import given, settings
from hypothesis import strategies as st

NUMBER = st.one_of(st.sampled_from([0.0, 1.0, 1e-300, 1e300, -1.0, math.nan, math.inf, 0.5, 60.0]), st.floats(0.0, 1e4))
COUNT = st.integers(-1, 50)
TARGET = st.builds(Target, st.sampled_from(Metric), NUMBER, up_only=st.booleans())
GOOD = PoolPolicy(targets=(Target(Metric.REQUESTS_PER_S, 100.0),))


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(st.none(), strategy)


PARTS: dict[str, st.SearchStrategy[object]] = {
    "targets": st.lists(st.builds(Target, st.sampled_from(Metric), NUMBER, up_only=st.booleans()), max_size=3).map(
        tuple
    ),
    "min_replicas": COUNT,
    "max_replicas": COUNT,
    "interval_s": NUMBER,
    "max_age_s": NUMBER,
    "max_gap_s": NUMBER,
    "stable_window_s": NUMBER,
    "tolerance": NUMBER,
    "scale_down_window_s": NUMBER,
    "bridged_starts": NUMBER,
    "cooldown_up_s": NUMBER,
    "cooldown_down_s": NUMBER,
    "activation_replicas": COUNT,
    "panic": maybe(st.builds(Panic, NUMBER, NUMBER)),
    "growth": maybe(st.builds(Growth, NUMBER, maybe(NUMBER))),
    "step_up": maybe(st.builds(StepLimit, COUNT, NUMBER, NUMBER)),
    "step_down": maybe(st.builds(StepLimit, COUNT, NUMBER, NUMBER)),
    "look_ahead": maybe(st.builds(LookAhead, NUMBER, NUMBER, NUMBER)),
    "season": maybe(st.builds(Season, NUMBER, COUNT, COUNT, maybe(NUMBER))),
    "scale_to_zero": maybe(st.builds(ScaleToZero, NUMBER)),
    "overflow": maybe(st.builds(Overflow, st.just("cpu"), NUMBER, COUNT, st.booleans(), NUMBER)),
    "budget": maybe(st.builds(Budget, maybe(NUMBER), maybe(NUMBER), maybe(NUMBER), NUMBER)),
    "burst_reserve": maybe(NUMBER),
    "capacity": maybe(NUMBER),
}


@given(st.data(), st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=5, unique=True))
@settings(deadline=None, max_examples=300)
def test_what_is_not_refused_decides(data: st.DataObject, names: list[str]):
    policy = replace(GOOD, **{name: data.draw(PARTS[name], label=name) for name in names})
    if violations(policy):
        return
    memory: Memory | None = None
    for tick, (value, ready) in enumerate([(0.0, 0), (1e9, 1), (None, 3), (250.0, 3), (0.0, 40), (1e-300, 2)] * 3):
        signals = {metric: Signal(value) for metric in Metric}
        seen = Observation("gpu", 1e9 + 7.0 * tick, Replicas(ready, 1), signals, (), 30.0, (5.0, math.nan, 900.0, 1.0))
        decision, memory = decide(policy, memory, seen)
        assert 0 <= decision.desired <= policy.max_replicas
        assert decision.sentences
        documents.from_json(Memory, documents.to_json(memory))


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime"])
def test_a_zone_that_nobody_knows_is_refused(zone: str):
    schedule = Schedule("night", (0,), 0, 60, time_zone=zone)
    assert [one.field for one in violations(replace(GOOD, schedules=(schedule,)))] == ["schedules[0].time_zone"]
