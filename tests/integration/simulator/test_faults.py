"""Faults as a client of Triton meets them: each comes when it is set, and goes when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
import pytest_asyncio
from headrace_servicekit.testing import eventually, patience
from tritonclient.grpc import service_pb2

from tests.kit.models.simulator import CONFIG, Simulator, calling, infer_request, running_simulator, written

pytestmark = pytest.mark.asyncio(loop_scope="module")

_pb: Any = service_pb2
ROWS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
MODEL, OTHER = "digits--v1", "digits--v2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("simulator")
    for name in (MODEL, OTHER):
        written(made / "models", CONFIG.replace(MODEL, name))
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(folder: Path) -> AsyncIterator[Simulator]:
    async with running_simulator(folder, f"--model-repository={folder / 'models'}") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def simulator(shared: Simulator) -> AsyncIterator[Simulator]:
    """The simulator of the module, which has no fault when a test begins."""
    yield shared
    await shared.clear()


@pytest_asyncio.fixture(loop_scope="module")
async def stub(simulator: Simulator) -> AsyncIterator[Any]:
    async with calling(simulator.address) as calls:
        yield calls


async def outcome(stub: Any, model: str = MODEL, timeout: float = 30.0) -> str:
    """Return the code of an inference."""
    try:
        await stub.ModelInfer(infer_request(model, ROWS), timeout=timeout)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def test_a_dead_backend_refuses_connections_until_it_is_back(simulator: Simulator, stub: Any):
    assert await outcome(stub) == "OK"
    await simulator.put("dead", kind="dead", for_s=600)

    async def connects() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
        except OSError:  # refused, or reset when the port closes just now
            return False
        writer.close()
        return True

    await eventually(lambda: _not(connects()))
    assert await outcome(stub) == "UNAVAILABLE"
    await simulator.clear()
    await eventually(connects)
    await eventually(lambda: _is(outcome(stub), "OK"))


async def test_one_dead_model_leaves_the_others_alone(simulator: Simulator, stub: Any):
    await simulator.put("dead", kind="dead", model=MODEL)
    assert (await outcome(stub), await outcome(stub, OTHER)) == ("UNAVAILABLE", "OK")
    assert not (await stub.ModelReady(_pb.ModelReadyRequest(name=MODEL))).ready
    with pytest.raises(grpc.aio.AioRpcError, match="no backend answers"):
        await stub.RepositoryModelLoad(_pb.RepositoryModelLoadRequest(model_name=MODEL))
    await simulator.clear()
    assert await outcome(stub) == "OK"


async def test_a_share_of_the_calls_is_met_and_counted(simulator: Simulator, stub: Any):
    await simulator.put("some", kind="dead", share=0.3, seed=7)
    outcomes = [await outcome(stub) for _ in range(100)]
    assert outcomes.count("UNAVAILABLE") == await simulator.hits("some") > 15
    await simulator.put("some", kind="dead", share=0.3, seed=7)
    assert [await outcome(stub) for _ in range(100)] == outcomes


async def test_a_slow_backend_takes_its_time_for_each_row(simulator: Simulator, stub: Any):
    await simulator.put("slow", kind="slow", model=MODEL, base_ms=200, per_row_ms=50)
    began = time.monotonic()
    assert await outcome(stub) == "OK"
    assert 0.35 <= time.monotonic() - began < patience(5)
    assert await outcome(stub, timeout=0.1) == "DEADLINE_EXCEEDED"


async def test_what_a_slow_fault_holds_goes_on_at_once_when_it_is_cleared(simulator: Simulator, stub: Any):
    await simulator.put("slow", kind="slow", base_ms=600_000)
    waiting = asyncio.create_task(outcome(stub))
    await eventually(lambda: simulator.hits("slow"))
    await simulator.clear()
    assert await waiting == "OK"


async def test_a_wedged_backend_accepts_and_answers_nothing_until_the_fault_ends(simulator: Simulator, stub: Any):
    await simulator.put("wedge", kind="wedge")
    assert await outcome(stub, timeout=0.3) == "DEADLINE_EXCEEDED"
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await stub.ServerLive(_pb.ServerLiveRequest(), timeout=0.3)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    waiting = asyncio.create_task(outcome(stub))
    await eventually(lambda: _at_least(simulator.hits("wedge"), 3))
    assert not waiting.done()
    await simulator.clear()
    assert await waiting == "OK"


async def test_a_wedged_model_leaves_the_server_and_the_others_alone(simulator: Simulator, stub: Any):
    await simulator.put("wedge", kind="wedge", model=MODEL)
    assert (await stub.ServerLive(_pb.ServerLiveRequest(), timeout=20)).live
    assert await outcome(stub, OTHER) == "OK"
    assert await outcome(stub, timeout=0.3) == "DEADLINE_EXCEEDED"


async def test_a_fault_ends_by_itself(simulator: Simulator, stub: Any):
    await simulator.put("wedge", kind="wedge", for_s=0.5)
    assert await outcome(stub) == "OK"


async def test_memory_runs_out_where_it_is_said_to(simulator: Simulator, stub: Any):
    await simulator.put("infer", kind="out-of-memory", model=MODEL)
    with pytest.raises(grpc.aio.AioRpcError, match="Failed to allocate memory") as infer:
        await stub.ModelInfer(infer_request(MODEL, ROWS))
    assert infer.value.code() is grpc.StatusCode.INTERNAL
    await simulator.clear()
    await simulator.put("load", kind="out-of-memory", on="load")
    assert await outcome(stub) == "OK"
    with pytest.raises(grpc.aio.AioRpcError, match="Exception during initialization: Failed to allocate memory"):
        await stub.RepositoryModelLoad(_pb.RepositoryModelLoadRequest(model_name=MODEL))


async def test_loading_takes_as_long_as_is_asked_for(simulator: Simulator, stub: Any):
    await simulator.put("slow-load", kind="slow-load", delay_s=0.4)
    began = time.monotonic()
    await stub.RepositoryModelLoad(_pb.RepositoryModelLoadRequest(model_name=OTHER))
    assert 0.4 <= time.monotonic() - began < patience(5)


async def test_answers_are_wrong_as_is_asked_for(simulator: Simulator, stub: Any):
    right = await stub.ModelInfer(infer_request(MODEL, ROWS))
    await simulator.put("wrong", kind="wrong", how="nan")
    wrong = await stub.ModelInfer(infer_request(MODEL, ROWS))
    assert np.isnan(np.frombuffer(wrong.raw_output_contents[0], "<f4")).all()
    assert wrong.raw_output_contents[1] == right.raw_output_contents[1]
    await simulator.put("wrong", kind="wrong", how="shape")
    assert list((await stub.ModelInfer(infer_request(MODEL, ROWS))).outputs[0].shape) == [3, 3, 1]
    await simulator.clear()
    assert (await stub.ModelInfer(infer_request(MODEL, ROWS))) == right


async def test_a_script_sets_faults_in_their_time(folder: Path, tmp_path: Path):
    script = tmp_path / "faults.toml"
    script.write_text('[late]\nkind = "dead"\nmodel = "digits--v1"\nafter_s = 1.0\nfor_s = 600.0\n')
    options = (f"--model-repository={folder / 'models'}", f"--faults={script}")
    async with running_simulator(tmp_path, *options) as simulator, calling(simulator.address) as stub:
        await eventually(lambda: _is(outcome(stub), "UNAVAILABLE"))
        assert await outcome(stub, OTHER) == "OK"


async def test_garbage_is_refused_and_the_next_call_is_answered(simulator: Simulator, stub: Any):
    async with grpc.aio.insecure_channel(simulator.address) as channel:
        for method in ("ModelInfer", "ModelConfig", "RepositoryModelLoad", "RepositoryIndex", "NoSuchMethod"):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(b"\xff" * 100, timeout=10)
            assert refused.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/other.Service/Method")(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert await outcome(stub) == "OK"


async def _not(asked: Any) -> bool:
    return not await asked


async def _is(asked: Any, expected: Any) -> bool:
    return await asked == expected


async def _at_least(asked: Any, expected: int) -> bool:
    return await asked >= expected
