"""What a step of a pipeline gave is kept where the step says so: for the same inputs, and no longer than told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from headrace.router.v1 import route_pb2
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.batchers.work import PipelineWork
from headrace_router.data.lookup.cache_lookup import LARGE_INPUTS_BYTES
from headrace_router.data.lookup.layers import Memory, StepCache
from headrace_router.data.tables.table import table_of
from headrace_runtime.pipelines.graph import Combiner, Kind, ModelStep, Output, Pipeline, Source, Step

from tests.kit.router.fake_control import INCARNATION, table
from tests.kit.router.lookup_bench import ONE, TWO, Bench
from tests.kit.router.pipeline_runs import Behaviour, Composed, edges, member
from tests.kit.router.recording import answered

ROW = np.arange(4, dtype=np.float32).reshape(1, 4)
# The first step is kept for a minute; the second takes what it gives, and is not kept.
STEPS = (
    Step("kept", ModelStep("kept"), edges(("x", "", "x")), cache_ms=60_000.0),
    Step("fresh", ModelStep("fresh"), edges(("x", "kept", "y"))),
)
CHAIN = Composed(Pipeline(STEPS, (Output("y", Source("fresh", "y")),)), {"kept": member(2.0), "fresh": member(3.0)})


def tensor(rows: np.ndarray) -> dict[str, tuple[str, list[int], bytes]]:
    return {"x": ("FP32", list(rows.shape), rows.tobytes())}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class World:
    """A data plane's memory, and requests to the pipeline. lookup: fields of the route's."""

    def __init__(self, max_bytes: int = 1 << 20, **lookup: Any) -> None:
        self.clock = Clock()
        self.cache = StepCache(Memory(max_bytes, 1 << 20), self.clock)
        made = table("ensemble", [CHAIN.version])
        made.lookup.CopyFrom(route_pb2.Lookup(**lookup))
        self.made = made

    def ask(self, rows: np.ndarray = ROW, *, max_age_s: float | None = None, **how: Any) -> list[str]:
        """Ask once; return the steps that were run."""
        among = table_of(self.made, {}, INCARNATION)
        resolved, _ = answered(among, inputs=tensor(rows))
        resolved.request = replace(resolved.request, max_age_s=max_age_s)
        ended = CHAIN.asked({"x": rows}, cache=self.cache, resolved=resolved, **how)
        assert ended.outputs is not None, ended.error
        np.testing.assert_array_equal(ended.outputs["y"], rows * 6)
        return ended.executed


def test_a_step_that_is_kept_is_not_run_again_for_the_same_inputs():
    world = World()
    assert [world.ask(), world.ask(), world.ask()] == [["kept", "fresh"], ["fresh"], ["fresh"]]
    assert world.ask(ROW + 1) == ["kept", "fresh"]


def test_it_is_kept_as_long_as_the_step_says():
    world = World()
    world.ask()
    world.clock.now = 59.9
    assert world.ask() == ["fresh"]
    world.clock.now = 60.1
    assert world.ask() == ["kept", "fresh"]
    world.clock.now = 100.0
    assert world.ask() == ["fresh"]


def test_a_request_takes_nothing_older_than_it_says():
    world = World()
    world.ask()
    world.clock.now = 10.0
    assert world.ask(max_age_s=5.0) == ["kept", "fresh"]
    assert world.ask(max_age_s=0.0) == ["kept", "fresh"]
    assert world.ask(max_age_s=20.0) == ["fresh"]


async def test_an_answer_that_may_be_made_of_what_was_kept_is_as_old_as_that_to_whoever_asks():
    bench = Bench(version=CHAIN.version, ttl_s=600.0)
    await bench.fill(ONE, inputs=ROW.tobytes())
    bench.loop.ahead_s += 10
    for max_age_s, computed in ((50.0, True), (65.0, True), (80.0, False)):
        asked = bench.ask(inputs=ROW.tobytes(), max_age_s=max_age_s)
        if computed:
            await bench.asked()
            bench.answer(TWO)
        assert (await asked).served_from is (ServedFrom.ONLINE if computed else ServedFrom.CACHE), max_age_s
        bench.loop.ahead_s += 10
    for max_age_s, found in ((65.0, False), (85.0, True)):
        resolved = bench.resolved(ROW.tobytes(), max_age_s=max_age_s)
        assert (await bench.lookup.kept_stale(resolved, resolved.variant, 600.0) is not None) is found


async def test_who_accepts_less_than_is_kept_waits_for_no_answer_of_others():
    bench = Bench(version=CHAIN.version, ttl_s=600.0)
    asked = [bench.ask(inputs=ROW.tobytes(), max_age_s=max_age_s) for max_age_s in (None, 100.0, 50.0, 50.0)]
    await bench.asked(3)
    bench.answer(ONE)
    assert [(await one).shared_execution for one in asked] == [False, True, False, False]


def test_a_purge_of_the_pipelines_cache_is_one_of_its_steps():
    world = World()
    world.ask()
    world.made.stored_answers.add(digest=CHAIN.version.digest, cache_epoch=7)
    assert world.ask() == ["kept", "fresh"]


@pytest.mark.parametrize("lookup", [{"mode": "MODE_ONLINE"}])
def test_a_route_without_stored_answers_has_none_of_steps(lookup: dict[str, Any]):
    world = World(**lookup)
    assert [world.ask(), world.ask()] == [["kept", "fresh"], ["kept", "fresh"]]


def test_without_memory_everything_is_run():
    world = World(max_bytes=0)
    assert [world.ask(), world.ask()] == [["kept", "fresh"], ["kept", "fresh"]]


def test_what_is_invalid_is_not_kept():
    world = World()
    assert world.ask(behaviours={"kept": Behaviour(invalid=True)}) == ["kept", "fresh"]
    assert world.ask() == ["kept", "fresh"]


def test_copies_for_a_shadow_neither_take_nor_leave_anything():
    world = World()
    world.ask()
    for rows in (ROW, ROW + 1):
        assert CHAIN.asked({"x": rows}, cache=world.cache, copy=True).executed == ["kept", "fresh"]
    assert world.ask(ROW + 1) == ["kept", "fresh"]


def test_who_is_gone_without_because_others_were_kept_is_not_asked_any_more():
    normalise = Step("normalise", ModelStep("normalise"), edges(("x", "", "x")))
    models = [Step(name, ModelStep(name), edges(("x", "normalise", "y")), cache_ms=60_000.0) for name in "ab"]
    mean = Step("all", Combiner(Kind.MEAN, quorum=1), edges(("a", "a", "y"), ("b", "b", "y")))
    members = {name: member(1.0) for name in ("normalise", "a", "b")}
    composed = Composed(Pipeline((normalise, *models, mean), (Output("s", Source("all", "output")),)), members)
    cache = StepCache(Memory(1 << 20, 1 << 20), Clock())
    made = table("ensemble", [composed.version])
    resolved, _ = answered(table_of(made, {}, INCARNATION), inputs=tensor(ROW))

    def asked(behaviours: dict[str, Behaviour]) -> list[str]:
        ended = composed.asked({"x": ROW}, cache=cache, resolved=resolved, deadline_s=1.0, behaviours=behaviours)
        assert ended.outputs is not None, ended.error
        return ended.executed

    dead = Behaviour(takes_s=math.inf, needs_s=0.01)
    assert asked({"b": dead, "all": Behaviour(takes_s=0.2)}) == ["normalise", "a", "b", "all"]
    # It ends just when the mean has to begin, and one of the two is kept.
    late = Behaviour(takes_s=0.785, needs_s=0.01)
    assert asked({"normalise": late, "b": dead, "all": Behaviour(takes_s=0.1, needs_s=0.2)}) == ["normalise", "all"]


def test_a_chain_of_a_hundred_steps_that_are_kept_answers():
    names = [f"s{at}" for at in range(100)]
    steps = [
        Step(name, ModelStep(name), edges(("x", names[at - 1], "y") if at else ("x", "", "x")), cache_ms=60_000.0)
        for at, name in enumerate(names)
    ]
    pipeline = Pipeline(tuple(steps), (Output("y", Source(names[-1], "y")),))
    composed = Composed(pipeline, {name: member(1.0) for name in names})
    cache = StepCache(Memory(1 << 20, 1 << 20), Clock())
    made = table("ensemble", [composed.version])
    resolved, _ = answered(table_of(made, {}, INCARNATION), inputs=tensor(ROW))
    for executed in (names, []):
        ended = composed.asked({"x": ROW}, cache=cache, resolved=resolved)
        assert (ended.executed, ended.error) == (executed, None)


@pytest.mark.parametrize("allowed", [False, True])
def test_large_inputs_are_digested_only_where_the_route_says_so(allowed: bool):
    world = World(cache_large_inputs=allowed)
    rows = np.ones((LARGE_INPUTS_BYTES // 16 + 1, 4), np.float32)[:1024]
    many = np.ones((LARGE_INPUTS_BYTES // 16 + 1, 4), np.float32)
    plan = CHAIN.served.pipeline
    assert plan is not None
    asked = PipelineWork(CHAIN.served, {}, answered(table_of(world.made, {}, INCARNATION), inputs=tensor(rows))[0])
    layout = plan.steps[0].served.layout((("x", "FP32", *many.shape),), 10_000)
    assert (world.cache.key(plan.steps[0], asked, layout, [many.tobytes()]) is not None) is allowed
