"""What a step of a pipeline gave is kept where the step says so: for the same inputs, and no longer than told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from headrace.router.v1 import route_pb2
from headrace_router.data.batchers.work import PipelineWork
from headrace_router.data.lookup.decisions.keys import LARGE_INPUTS_BYTES
from headrace_router.data.lookup.memory import Memory
from headrace_router.data.lookup.step_cache import StepCache
from headrace_router.data.routes.table import table_of
from headrace_runtime.pipelines.graph import ModelStep, Output, Pipeline, Source, Step

from tests.kit.control import INCARNATION, table
from tests.kit.pipeline_runs import Behaviour, Composed, edges, member
from tests.kit.recording import answered

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
