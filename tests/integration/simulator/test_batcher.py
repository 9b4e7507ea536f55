"""A batcher whose Triton stands behind the simulator: without faults nobody notices, and with one it acts as ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually, free_port
from headrace_stack.settings import StackSettings

from tests.kit.batcher.service import BatcherRig, batcher_rig
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models
from tests.kit.models.simulator import in_front_of
from tests.kit.stores.servers import S3Store, new_bucket

ROWS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
MODEL = onnx_models.linear(seed=3)
DEADLINE_US = 20_000_000
together = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Scene:
    """A batcher that serves one version. control: URL of its simulator's faults."""

    rig: BatcherRig
    client: BatcherClient
    digest: str
    control: str

    async def put(self, **fault: Any) -> None:
        async with httpx.AsyncClient() as asked:
            assert (await asked.put(f"{self.control}/fault", json=fault)).status_code == 200

    async def clear(self) -> None:
        async with httpx.AsyncClient() as asked:
            assert (await asked.delete(self.control)).status_code == 204

    async def infer(self) -> Any:
        return await self.client.infer(self.digest, [ROWS], deadline_us=DEADLINE_US)

    async def answers_rightly(self) -> bool:
        answer = await self.infer()
        if answer.code:
            return False
        np.testing.assert_allclose(
            outputs_of(answer)["scores"], MODEL.expected({"features": ROWS})["scores"], rtol=1e-5
        )
        return True


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    s3_server: StackSettings, tmp_path_factory: pytest.TempPathFactory, triton_command: Path
) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("batcher")
    async with new_bucket(s3_server) as s3, staged(s3, folder, triton_command, liveness_probe_after_s=0.5) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def scene(shared: Scene) -> AsyncIterator[Scene]:
    """The scene of the module; what a test has changed is over before the next one begins."""
    yield shared
    await shared.clear()
    shared.rig.want(await shared.rig.version("linear", MODEL))
    await shared.client.until_ready(shared.digest)


@asynccontextmanager
async def staged(s3: S3Store, folder: Path, triton_command: Path, **settings: Any) -> AsyncIterator[Scene]:
    port = free_port()
    command = in_front_of(triton_command, f"--control=127.0.0.1:{port}")
    async with batcher_rig(s3, folder, "triton", triton_command) as plain:
        rig = replace(plain, settings={**plain.settings, "triton_command": command, **settings})
        version = await rig.version("linear", MODEL)
        rig.want(version)
        async with rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
            await client.until_ready(version.digest)
            yield Scene(rig, client, version.digest, f"http://127.0.0.1:{port}/faults")


@together
async def test_without_a_fault_it_answers_what_triton_answers_and_wrong_answers_reach_nobody(scene: Scene):
    assert await scene.answers_rightly()
    for how in ("shape", "datatype"):
        await scene.put(kind="wrong", how=how)
        answer = await scene.infer()
        assert (Code(answer.code), answer.reason) == (Code.UNAVAILABLE, "MODEL_FAILING")
    await scene.put(kind="out-of-memory")
    for _ in range(2):
        answer = await scene.infer()
        assert (Code(answer.code), answer.reason) == (Code.UNAVAILABLE, "MODEL_FAILING")
    await scene.clear()
    assert await scene.answers_rightly()


@together
@pytest.mark.parametrize("kind", ["dead", "wedge"])
async def test_a_backend_that_is_away_is_out_of_service_until_it_is_back(scene: Scene, kind: str):
    assert await scene.answers_rightly()
    await scene.put(kind=kind)
    await eventually(lambda: scene.digest not in scene.client.versions, within=10)
    await scene.clear()
    await scene.client.until_ready(scene.digest)
    await eventually(scene.answers_rightly, within=20)


@pytest.mark.long
@together
async def test_one_model_that_is_wedged_is_out_of_service_alone(scene: Scene):
    other = await scene.rig.version("beside", onnx_models.identity())
    both = [await scene.rig.version("linear", MODEL), other]
    scene.rig.want(*both)
    await scene.client.until_ready(other.digest)
    await scene.put(kind="wedge", model="linear--v1")
    await eventually(lambda: scene.digest not in scene.client.versions, within=15)
    assert not (await scene.client.infer(other.digest, [ROWS])).code
    await scene.clear()
    await scene.client.until_ready(scene.digest)


@pytest.mark.faults
async def test_a_backend_that_stays_wedged_is_started_anew(s3: S3Store, tmp_path: Path, triton_command: Path):
    async with staged(s3, tmp_path, triton_command, restart_silent_after_s=3.0) as scene:
        await scene.put(kind="wedge")
        await eventually(lambda: scene.digest not in scene.client.versions, within=15)
        # The process with the fault is gone, and so is the fault.
        await scene.client.until_ready(scene.digest)
        await eventually(scene.answers_rightly, within=20)


@pytest.mark.long
@together
async def test_a_version_for_which_there_is_no_memory_says_so_and_is_loaded_when_there_is(scene: Scene):
    await scene.put(kind="out-of-memory", on="load")
    other = await scene.rig.version("too-much", onnx_models.identity())
    scene.rig.want(await scene.rig.version("linear", MODEL), other)
    assert "Failed to allocate memory" in await scene.rig.until_failed(other.digest)
    assert await scene.answers_rightly()
    await scene.clear()
    await scene.client.until_ready(other.digest)


@pytest.mark.long
@together
async def test_while_a_version_loads_slowly_the_others_answer(scene: Scene):
    await scene.put(kind="slow-load", delay_s=2.0)
    other = await scene.rig.version("slow", onnx_models.identity())
    scene.rig.want(await scene.rig.version("linear", MODEL), other)
    while other.digest not in scene.client.versions:
        async with asyncio.timeout(60):
            assert await scene.answers_rightly()
