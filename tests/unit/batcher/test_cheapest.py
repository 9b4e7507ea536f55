"""A version is measured once it is loaded, and executed in process only where it answers as it does there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from headrace_batcher.decisions.compute import Choice, Way
from headrace_batcher.in_process.backend import CheapestBackend, cheapest
from headrace_runtime.backends.backend import USUAL_BUDGET
from headrace_runtime.backends.onnx import OnnxBackend
from headrace_runtime.shapes import OutputTensor
from headrace_servicekit.testing import eventually

from tests.kit.models import onnx_models
from tests.kit.models.backends import Rig

SLOW_S = 0.003


class Slow(OnnxBackend):
    """Takes three milliseconds more than ONNX Runtime. answer: made of its outputs. executed: how often."""

    def __init__(self) -> None:
        super().__init__(threads=0)
        self.answer: Callable[[OutputTensor], OutputTensor] = lambda output: output
        self.executed = 0

    async def infer(self, name, layout, rows, inputs):
        self.executed += 1
        outputs = await super().infer(name, layout, rows, inputs)
        await asyncio.sleep(SLOW_S)
        return [self.answer(output) for output in outputs]


@dataclass(eq=False)
class Loaded:
    """Collects the choices that are made."""

    name: str
    compute: Choice | None = None


@pytest.fixture
async def slow() -> AsyncIterator[Slow]:
    backend = Slow()
    async with backend:
        yield backend


@asynccontextmanager
async def before(slow: Slow, folder: Path, unfit: str = "") -> AsyncIterator[tuple[CheapestBackend, Rig, list[Any]]]:
    """Yield it before the slow one, with the versions that are settled."""
    settled: list[Any] = []

    async def why(file_bytes: int) -> str:
        return unfit

    opening = cheapest(
        slow,
        folder / "record",
        threads=1,
        budget=USUAL_BUDGET,
        anyway=False,
        unfit=why,
        changed=lambda: None,
        then=settled.append,
    )
    async with opening as backend, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(backend.run())
        yield backend, Rig(backend, folder), settled
        running.cancel()


async def chosen(backend: CheapestBackend, settled: list[Any], name: str = "tiny--v1") -> Choice | None:
    held: Any = Loaded(name)
    backend.became_ready(held)
    await eventually(lambda: held in settled)
    return held.compute


async def test_once_it_is_measured_a_small_version_is_executed_in_process_until_it_is_loaded_again(slow, tmp_path):
    async with before(slow, tmp_path) as (backend, rig, settled):
        files = rig.files(onnx_models.linear())
        await rig.load(files)
        choice = await chosen(backend, settled)
        assert choice is not None
        assert choice.way is Way.INLINE
        measured = slow.executed
        here = await rig.infer(files, [bytes(32)], 2)
        assert slow.executed == measured
        await rig.load(files)
        assert await rig.infer(files, [bytes(32)], 2) == here
        assert slow.executed == measured + 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"data": bytes(4 * 3 * 32)}, "its answers in process differ", id="values"),
        pytest.param({"datatype": "INT32"}, "differ in name, datatype or shape", id="datatype"),
    ],
)
async def test_a_version_that_answers_otherwise_in_process_stays_where_it_was(slow, tmp_path, change, why):
    def other(output: OutputTensor) -> OutputTensor:
        changed = dict(change)
        if "data" in changed:
            changed["data"] = changed["data"][: len(output.data)]
        return replace(output, **changed)

    slow.answer = other
    async with before(slow, tmp_path) as (backend, rig, settled):
        await rig.load(rig.files(onnx_models.linear()))
        choice = await chosen(backend, settled)
        assert choice is not None
        assert (choice.way, why in choice.reason) == (Way.BACKEND, True), choice


async def test_a_version_is_not_measured_where_it_does_not_fit(slow, tmp_path):
    async with before(slow, tmp_path, unfit="Triton has GPUs") as (backend, rig, settled):
        await rig.load(rig.files(onnx_models.linear()))
        assert await chosen(backend, settled) == Choice(Way.BACKEND, "Triton has GPUs")
        assert slow.executed == 0


async def test_one_that_is_unloaded_while_it_is_measured_is_settled_and_forgotten(slow, tmp_path):
    async with before(slow, tmp_path) as (backend, rig, settled):
        files = rig.files(onnx_models.linear())
        await rig.load(files)
        held: Any = Loaded("tiny--v1")
        backend.became_ready(held)
        await eventually(lambda: slow.executed)
        await backend.unload("tiny--v1")
        await eventually(lambda: held in settled)
        assert held.compute is None
        await rig.load(files)
        assert (await chosen(backend, settled) or Choice(Way.BACKEND, "")).way is Way.INLINE
