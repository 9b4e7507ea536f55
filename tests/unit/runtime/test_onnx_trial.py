"""A file is loaded in a process with limits before it is loaded beside others, and nothing of that is left."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from headrace_runtime.backends.backend import LoadBudget, LoadError, ModelFiles
from headrace_runtime.backends.onnx import OnnxBackend
from headrace_runtime.backends.onnx_trial import Rows, try_loading
from headrace_runtime.contract import Example, from_proto
from headrace_runtime.shapes import FIXED, layout_of
from headrace_servicekit.testing import eventually

from tests.kit.hostile import slow_models
from tests.kit.models import onnx_models
from tests.kit.models.backends import Rig
from tests.kit.models.onnx_models import TinyModel


@pytest.fixture
def stored(tmp_path):
    def store(model: TinyModel) -> Path:
        path = tmp_path / "model.onnx"
        path.write_bytes(model.content)
        return path

    return store


def processes_about(path: Path) -> list[str]:
    """Return the processes whose command names the file."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if bytes(path) in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:  # it has just ended
            continue
    return found


async def test_what_loads_raises_nothing(stored):
    await try_loading(stored(onnx_models.linear()), LoadBudget())


async def test_what_dies_of_the_rows_that_it_is_to_run_is_not_loaded(stored):
    path, contract = stored(onnx_models.fatal()), from_proto(onnx_models.fatal().contract)
    await try_loading(path, LoadBudget(), Rows(contract, (1, 32)))
    deadly = replace(contract, example=Example((b"\xfe" + b"\xff" * 7,)))  # -2
    files = ModelFiles("fatal--v1", path, deadly, max_rows=32)
    async with OnnxBackend(threads=1) as backend:
        with pytest.raises(LoadError, match="dies"):
            await backend.load(files, (1, 32))


@pytest.mark.parametrize(
    ("model", "budget", "why"),
    [
        pytest.param(slow_models.billion_laughs(), LoadBudget(cpu_s=1.0), "more than 1 s of a proc", id="never ends"),
        pytest.param(onnx_models.linear(), LoadBudget(memory_bytes=2**20), "more memory than it may", id="no memory"),
        pytest.param(
            TinyModel(b"nothing", onnx_models.linear().contract, dict), LoadBudget(), "(?i)protobuf", id="text"
        ),
    ],
)
async def test_what_does_not_load_within_its_limits_says_why(stored, model, budget, why):
    path = stored(model)
    with pytest.raises(LoadError, match=why):
        await try_loading(path, budget)
    assert not processes_about(path)


async def test_a_load_that_is_cancelled_leaves_no_process_within_a_second(stored):
    path = stored(slow_models.billion_laughs())
    trial = asyncio.create_task(try_loading(path, LoadBudget()))
    await eventually(lambda: processes_about(path))
    trial.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await trial
    assert not processes_about(path)


async def test_an_execution_that_is_cancelled_gives_its_thread_back(tmp_path):
    async with OnnxBackend(threads=1) as backend:
        rig = Rig(backend, tmp_path)
        endless, fine = rig.files(onnx_models.slow(10**9), "endless--v1"), rig.files(onnx_models.identity(), "fine--v1")
        await rig.load(endless)
        await rig.load(fine)
        layout = layout_of(from_proto(onnx_models.identity().contract), FIXED)
        stuck = asyncio.create_task(backend.infer("endless--v1", layout, 1, [bytes(16)]))
        await asyncio.sleep(0.2)
        stuck.cancel()
        async with asyncio.timeout(5):
            await backend.infer("fine--v1", layout, 1, [bytes(16)])
