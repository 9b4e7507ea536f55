"""Executions on the event loop leave it to others after 2 ms, and none keeps it for long."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from headrace_batcher.in_process.inline import InlineRuns, TakesTooLong
from headrace_runtime.backends.backend import ModelError
from headrace_runtime.shapes import Layout

LAYOUT = Layout((), (), (), ())


class Scripted:
    """Executes by a function of ONNX Runtime's options."""

    def __init__(self) -> None:
        self.execute: Callable[[Any], None] = lambda how: None

    def run(self, name, layout, rows, inputs, how):
        self.execute(how)
        return [], 0.0


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
async def runs(scripted: Scripted) -> AsyncIterator[InlineRuns]:
    with InlineRuns(scripted).watched() as runs:  # type: ignore[arg-type]
        yield runs


def busy_for(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_an_iteration_of_the_loop_has_no_more_than_two_milliseconds_of_executions(runs, scripted):
    executed_in: list[int] = []
    iteration = 0
    scripted.execute = lambda how: (busy_for(0.0007), executed_in.append(iteration))[0]
    executing = [asyncio.create_task(runs.run("m--v1", LAYOUT, 1, [])) for _ in range(12)]
    while not all(task.done() for task in executing):
        iteration += 1
        await asyncio.sleep(0)
    assert len(executed_in) == 12
    assert max(executed_in.count(one) for one in executed_in) <= 3
    assert executed_in == sorted(executed_in)


async def test_an_execution_that_does_not_end_is_ended_and_the_next_one_is_not(runs, scripted):
    def endless(how: Any) -> None:
        while not how.terminate:
            time.sleep(0.0001)
        raise ModelError("Exiting due to terminate flag being set to true.")

    scripted.execute = endless
    with pytest.raises(TakesTooLong):
        await runs.run("m--v1", LAYOUT, 1, [])
    scripted.execute = lambda how: None
    for _ in range(100):
        await runs.run("m--v1", LAYOUT, 1, [])
    await asyncio.sleep(0.02)  # the watching thread sleeps by now
    scripted.execute = endless
    with pytest.raises(TakesTooLong):
        await runs.run("m--v1", LAYOUT, 1, [])


async def test_a_model_that_fails_is_not_taken_for_one_that_takes_too_long(runs, scripted):
    def failing(how: Any) -> None:
        raise ModelError("indices element out of data bounds")

    scripted.execute = failing
    with pytest.raises(ModelError, match="out of data bounds"):
        await runs.run("m--v1", LAYOUT, 1, [])
