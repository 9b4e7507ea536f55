"""The simulator speaks as Triton does: to NVIDIA's own clients, and call by call beside a real one."""

from __future__ import annotations

import asyncio
import queue
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from headrace_runtime.backends.triton_repository import Repository
from headrace_servicekit.testing import eventually
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.kit.models import onnx_models
from tests.kit.models.backends import BUDGET, Rig, triton_backend
from tests.kit.models.simulator import CONFIG, Simulator, calling, infer_request, running_simulator, written
from tests.kit.models.triton import Triton

_pb: Any = service_pb2
PERF_ANALYZER = Path(sys.executable).with_name("perf_analyzer")
ROWS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    """A simulator with one model, which is made up and loaded at the start."""
    written(tmp_path / "models")
    async with running_simulator(tmp_path, f"--model-repository={tmp_path / 'models'}") as running:
        yield running


async def test_nvidias_client_finds_loads_and_asks_a_made_up_model(simulator: Simulator, tmp_path: Path):
    written(tmp_path / "models", CONFIG.replace("digits--v1", "digits--v2"))

    def ask() -> None:
        with triton_grpc.InferenceServerClient(simulator.address) as opened:
            client: Any = opened  # typed as if every answer could be None
            assert client.is_server_live()
            assert client.is_server_ready()
            assert "model_repository" in client.get_server_metadata().extensions
            assert not client.is_model_ready("digits--v2")
            client.load_model("digits--v2")
            assert client.is_model_ready("digits--v2")
            assert {model.name for model in client.get_model_repository_index().models} == {"digits--v1", "digits--v2"}
            assert client.get_model_metadata("digits--v2").inputs[0].shape == [-1, 4]
            assert client.get_model_config("digits--v2").config.max_batch_size == 32
            image = triton_grpc.InferInput("image", [3, 4], "FP32")
            image.set_data_from_numpy(ROWS)
            answer = client.infer("digits--v2", [image])
            scores, label = answer.as_numpy("scores"), answer.as_numpy("label")
            assert (scores.shape, label.shape) == ((3, 3), (3, 1))
            again = client.infer("digits--v1", [image]).as_numpy("scores")
            np.testing.assert_array_equal(again, scores)
            statistics = client.get_inference_statistics("digits--v2").model_stats[0]
            assert (statistics.inference_count, statistics.execution_count) == (3, 1)
            client.unload_model("digits--v2")
            with pytest.raises(InferenceServerException, match="has no available versions"):
                client.infer("digits--v2", [image])

    await asyncio.to_thread(ask)


async def test_nvidias_client_streams(simulator: Simulator):
    def ask() -> list[Any]:
        answers: queue.Queue[Any] = queue.Queue()
        with triton_grpc.InferenceServerClient(simulator.address) as client:
            client.start_stream(lambda result, error: answers.put(error or result.as_numpy("scores")))
            for size in (4, 5, 4):
                image = triton_grpc.InferInput("image", [1, size], "FP32")
                image.set_data_from_numpy(np.zeros((1, size), np.float32))
                client.async_stream_infer("digits--v1", [image])
            found = [answers.get(timeout=20) for _ in range(3)]
            client.stop_stream()
        return found

    first, refused, third = await asyncio.to_thread(ask)
    np.testing.assert_array_equal(first, third)
    assert "unexpected shape" in str(refused)


async def test_perf_analyzer_measures_the_latency_that_was_asked_for(tmp_path: Path):
    written(tmp_path / "models")
    options = (f"--model-repository={tmp_path / 'models'}", "--latency-ms=20", "--latency-per-row-ms=1")
    async with running_simulator(tmp_path, *options) as simulator:
        done = await asyncio.to_thread(
            subprocess.run,
            [
                str(PERF_ANALYZER), "-m", "digits--v1", "-u", simulator.address, "-i", "grpc", "-b", "4",
                "--request-count", "40", "--concurrency-range", "2",
            ],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Request count: 40" in done.stdout
        async with calling(simulator.address) as stub:
            told = await stub.ModelStatistics(_pb.ModelStatisticsRequest(name="digits--v1"), timeout=10)
    (one,) = told.model_stats
    assert one.inference_count == 4 * one.execution_count
    assert 0.024e9 <= one.inference_stats.compute_infer.ns / one.execution_count < 0.2e9


async def refusals(address: str) -> dict[str, tuple[str, str]]:
    """Return how a server refuses calls about models that it has not, by what was asked."""
    found: dict[str, tuple[str, str]] = {}
    async with calling(address) as stub:
        calls = {
            "infer unknown": stub.ModelInfer(infer_request("nobody", ROWS, "features")),
            "metadata unknown": stub.ModelMetadata(_pb.ModelMetadataRequest(name="nobody")),
            "load unknown": stub.RepositoryModelLoad(_pb.RepositoryModelLoadRequest(model_name="nobody")),
            "load outside": stub.RepositoryModelLoad(_pb.RepositoryModelLoadRequest(model_name="../models")),
            "infer unloaded": stub.ModelInfer(infer_request("gone--v1", ROWS, "features")),
            "metadata unloaded": stub.ModelMetadata(_pb.ModelMetadataRequest(name="gone--v1")),
        }
        for asked, call in calls.items():
            try:
                await call
            except grpc.aio.AioRpcError as error:
                found[asked] = (error.code().name, error.details() or "")
    return found


async def unloaded(triton: Triton, folder: Path) -> None:
    """Load a model, and unload it."""
    async with triton_backend(triton) as backend:
        files = Rig(backend, folder).files(onnx_models.linear(), "gone--v1")
        await backend.load(files)
        await backend.unload(files.name)


async def test_models_that_are_not_there_are_refused_as_triton_refuses_them(triton: Triton, tmp_path: Path):
    await unloaded(triton, tmp_path)
    real = await refusals(triton.address)
    (tmp_path / "made-up").mkdir()
    async with running_simulator(tmp_path, f"--model-repository={tmp_path / 'made-up'}") as simulator:
        await unloaded(Triton(simulator.address, tmp_path / "made-up", triton.process), tmp_path)
        made_up = await refusals(simulator.address)
    async with running_simulator(tmp_path, f"--target={triton.address}") as simulator:
        forwarded = await refusals(simulator.address)
    assert forwarded == real
    assert {asked: code for asked, (code, _) in made_up.items()} == {asked: code for asked, (code, _) in real.items()}
    for asked in ("infer unknown", "infer unloaded", "load unknown"):
        assert made_up[asked][1] == real[asked][1], asked


async def test_what_a_batcher_writes_for_a_version_is_enough_to_make_it_up(tmp_path: Path):
    """Formats and contracts of all kinds: the configuration is what the batcher itself writes."""
    root = tmp_path / "models"
    root.mkdir()
    async with running_simulator(tmp_path, "--model-control-mode=explicit", f"--model-repository={root}") as simulator:
        triton = Triton(simulator.address, root, None)  # type: ignore[arg-type]
        async with triton_backend(triton) as backend:
            rig = Rig(backend, tmp_path)
            for name, model, inputs in (
                ("classifier--v1", onnx_models.classifier(), [ROWS]),
                ("pair--v1", onnx_models.two_inputs_two_outputs(), None),
                ("same--v1", onnx_models.identity(), [ROWS]),
            ):
                files = rig.files(model, name)
                await rig.load(files)
                if inputs is not None:
                    answered = await rig.infer(files, inputs, 3)
                    assert all(shape[0] == 3 for shape, _ in answered.values())
        assert Repository(root, BUDGET).root == root


async def test_a_triton_that_others_run_is_followed_when_it_is_away_and_back(tmp_path: Path):
    written(tmp_path / "models")
    (tmp_path / "inner").mkdir()
    (tmp_path / "outer").mkdir()
    async with (
        running_simulator(tmp_path / "inner", f"--model-repository={tmp_path / 'models'}") as inner,
        running_simulator(tmp_path / "outer", f"--target={inner.address}") as outer,
        calling(outer.address) as stub,
    ):
        await inner.put("away", kind="dead")
        await eventually(lambda: _refused(stub))
        await inner.clear()

        async def answered() -> bool:
            return not await _refused(stub)

        await eventually(answered)


async def _refused(stub: Any) -> bool:
    try:
        await stub.ServerLive(_pb.ServerLiveRequest(), timeout=2)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    return False
