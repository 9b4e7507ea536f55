"""Everything that a decision needs and gives can be written as JSON and read back."""

import json
import math
from dataclasses import replace

import pytest
from headrace_scaling import documents
from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.decision import Decision
from headrace_scaling.decisions.memory import Memory
from headrace_scaling.decisions.observations import Metric, ModelLoad, Observation, Replicas, Signal
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
    TargetKind,
    violations,
)

from tests.kit.rows import each

EVERYTHING = PoolPolicy(
    targets=(Target(Metric.REQUESTS_PER_S, 480.0), Target(Metric.GPU_MEMORY, 0.9, TargetKind.REPLICA_MEAN, True, 1.0)),
    min_replicas=0,
    panic=Panic(),
    growth=Growth(2.0, None),
    step_up=StepLimit(4, 1.0, 15.0),
    step_down=StepLimit(1),
    look_ahead=LookAhead(),
    season=Season(),
    scale_to_zero=ScaleToZero(),
    overflow=Overflow("cpu", 20.0, 40),
    schedules=(Schedule("night", (5, 6), 1320, 360, max_replicas=2, time_zone="Europe/Berlin"),),
    budget=Budget(money=100.0, price_per_replica_hour=3.0),
    burst_reserve=200.0,
    capacity=600.0,
)
SEEN = Observation(
    "gpu",
    1_790_000_000.123456,
    Replicas(3, 1, requested=4),
    {Metric.REQUESTS_PER_S: Signal(0.1 + 0.2, 1.5), Metric.GPU_MEMORY: Signal(math.nan, 1.0, 3)},
    (ModelLoad("digits", {Metric.REQUESTS_PER_S: Signal(None)}),),
    load_time_s=31.25,
    seasonal_peaks=(1.0, 2.5, 1e300),
)


def test_everything_comes_back_to_the_bit():
    decision, memory = decide(EVERYTHING, None, SEEN)
    for value in (EVERYTHING, memory, decision):
        assert documents.from_json(type(value), documents.to_json(value)) == value
    again = documents.from_json(Observation, documents.to_json(SEEN))
    assert documents.to_json(again) == documents.to_json(SEEN)
    assert math.isnan(again.signals[Metric.GPU_MEMORY].value or 0.0)


def test_a_decision_repeats_after_its_memory_was_written_and_read():
    memory: Memory | None = None
    stored: Memory | None = None
    for tick in range(50):
        seen = replace(SEEN, now=SEEN.now + 5.0 * tick, signals={Metric.REQUESTS_PER_S: Signal(900.0 + tick**3 / 7)})
        first, memory = decide(EVERYTHING, memory, seen)
        second, stored = decide(EVERYTHING, stored, seen)
        assert first == second
        assert documents.from_json(Decision, documents.to_json(first)) == second
        stored = documents.from_json(Memory, documents.to_json(stored))


@each(
    "change,message",
    [
        ({"targets": "many"}, "targets must be an array"),
        ({"targets": [{"metric": "rps", "value": 1}]}, r"targets\[0\].metric must be one of requests_per_s"),
        ({"targets": [{"metric": "requests_per_s"}]}, r"targets\[0\] lacks value"),
        ({"max_replicas": 1.5}, "max_replicas must be a whole number"),
        ({"max_replicas": True}, "max_replicas must be a whole number"),
        ({"tolerance": "low"}, "tolerance must be a number"),
        ({"season": []}, "season must be an object"),
        ({"maximum": 3}, "has no field 'maximum'; there is targets"),
    ],
)
def test_a_policy_that_nobody_can_follow_is_refused_by_field(change: dict[str, object], message: str):
    plain = {**documents.to_plain(EVERYTHING), **change}
    with pytest.raises(ValueError, match=message):
        documents.from_json(PoolPolicy, json.dumps(plain))


@pytest.mark.parametrize("text", ["", "[", "[]", "null", "7", '"policy"', "[" * 100_000])
def test_what_is_no_document_is_refused(text: str):
    with pytest.raises(ValueError, match=r"JSON|must be an object"):
        documents.from_json(PoolPolicy, text)


def test_violations_name_the_fields():
    assert violations(EVERYTHING) == ()
    bad = replace(
        EVERYTHING,
        targets=(Target(Metric.GPU_UTILISATION, 0.0),),
        scale_to_zero=None,
        max_replicas=0,
        panic=Panic(window_s=90.0),
        budget=Budget(money=5.0),
        season=Season(quantile=2.0),
        tolerance=math.nan,
        schedules=(Schedule("never", (7,), -1, 0),),
        step_down=StepLimit(0),
    )
    found = {one.field for one in violations(bad)}
    assert {"targets[0]", "targets[0].value", "min_replicas", "max_replicas", "panic", "budget", "season"} <= found
    assert {"tolerance", "schedules[0]", "schedules[0].days", "step_down"} <= found
    assert violations(PoolPolicy(targets=()))[0].field == "targets"
