"""Many models in one pool, in memory for a few: the least recently used go, and come back when they are asked for."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from headrace.router.v1 import control_pb2
from headrace_batcher.loading.memory import held_bytes
from headrace_servicekit.testing import eventually, free_port, patience
from prometheus_client.parser import text_string_to_metric_families

from tests.kit.batcher.process import process_of, until_listening
from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models

MIB = 1024 * 1024
MODELS, ROOM, HOT = 50, 10, 3
FEATURES, OUTPUTS = 1024, 2048  # 8 MiB of weights: much beside what the process has itself from one moment to the next
WARM_FOR_S = 2.0


class Batcher:
    """A batcher in a process of its own, and a data plane. used: what it holds now, peak the most it was seen to."""

    def __init__(self, pid: int, metrics_port: int, client: BatcherClient) -> None:
        self.pid, self.metrics_port, self.client = pid, metrics_port, client
        self.peak = 0

    def used(self) -> int:
        used = held_bytes(self.pid, None)
        self.peak = max(self.peak, used)
        return used

    async def settled(self) -> int:
        seen = [self.used()]

        async def as_before() -> bool:
            seen.append(self.used())
            return abs(seen[-1] - seen[-2]) < MIB // 2

        await eventually(as_before, within=10, every=0.3)
        return seen[-1]

    async def counted(self, name: str) -> dict[str, float]:
        """Return a counter of every model that has it."""
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"http://127.0.0.1:{self.metrics_port}/metrics")).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {one.labels["model"]: one.value for one in samples if one.name == name and one.value}

    async def watch(self) -> None:
        while True:
            self.used()
            await asyncio.sleep(0.1)


@asynccontextmanager
async def batcher(rig: BatcherRig, log: Path, **changes) -> AsyncIterator[Batcher]:
    port, metrics_port = free_port(), free_port()
    async with process_of(rig, log, port=port, metrics_port=metrics_port, **changes) as process:
        await until_listening(port)
        async with BatcherClient.connected(f"127.0.0.1:{port}") as client:
            yield Batcher(process.pid, metrics_port, client)
        process.terminate()
        await process.wait()


@pytest.mark.long
async def test_fifty_models_are_served_from_memory_for_ten_and_those_that_are_hot_stay(
    onnx_rig: BatcherRig, tmp_path: Path
):
    # Five files for all: a session on each is a model's memory all the same.
    files = [onnx_models.linear(FEATURES, OUTPUTS, seed=seed) for seed in range(5)]
    versions = [await onnx_rig.version(f"m{at:02}", files[at % 5]) for at in range(MODELS)]
    row = np.random.default_rng(0).normal(size=(1, FEATURES)).astype(np.float32)

    onnx_rig.want(*versions[:1])
    async with batcher(onnx_rig, tmp_path / "first.log") as alone:
        await alone.client.until_ready(versions[0].digest)
        one = await alone.settled()
        onnx_rig.want(*versions[:5])
        await alone.client.until_ready(*(version.digest for version in versions[:5]))
        each = (await alone.settled() - one) // 4
    assert each > 7 * MIB

    limit = one + (ROOM - 1) * each + each // 2
    onnx_rig.want(*versions)
    async with batcher(onnx_rig, tmp_path / "log", memory_limit_bytes=limit, warm_for_s=WARM_FOR_S) as pool:
        client, watching = pool.client, asyncio.create_task(pool.watch())

        async def ask(version: control_pb2.ResolvedVersion, file: onnx_models.TinyModel) -> str:
            answer = await client.infer(version.digest, [row], deadline_us=int(patience(20.0) * 1e6))
            if not answer.code:
                expected = file.expected({"features": row})["scores"]
                np.testing.assert_allclose(outputs_of(answer)["scores"], expected, rtol=1e-3, atol=1e-3)
            return answer.reason or "answered"

        async def keep_hot() -> None:
            while True:
                told = await asyncio.gather(*(ask(versions[at], files[at % 5]) for at in range(HOT)))
                assert set(told) == {"answered"}
                await asyncio.sleep(0.05)

        # All are announced once each was loaded and has answered its probe; most of them are not in memory any more.
        await client.until_ready(*(version.digest for version in versions), within=120)
        await eventually(lambda: pool.used() <= limit, within=20, every=0.2)
        evicted = await pool.counted("batcher_versions_evicted_total")
        # A library's pages count by how many processes of this machine have them: tests beside this one change that.
        assert ROOM // 2 <= MODELS - len(evicted) <= 2 * ROOM, f"each {each / MIB:.1f}, one {one / MIB:.1f} MiB"
        for at in range(HOT):
            await ask(versions[at], files[at % 5])
        before = await pool.counted("batcher_versions_evicted_total")

        hot, rng, told = asyncio.create_task(keep_hot()), random.Random(25), []
        for at in rng.sample(range(HOT, MODELS), 20):
            outcome = await ask(versions[at], files[at % 5])
            while outcome == "MODEL_LOADING":  # all is warm: a caller comes back
                told.append(outcome)
                await asyncio.sleep(0.3)
                outcome = await ask(versions[at], files[at % 5])
            assert outcome == "answered"
        assert not hot.done()
        for task in (hot, watching):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        after = await pool.counted("batcher_versions_evicted_total")
        hottest = [f"m{at:02}" for at in range(HOT)]
        assert {name: after.get(name, 0) for name in hottest} == {name: before.get(name, 0) for name in hottest}
        assert sum((await pool.counted("batcher_versions_loaded_on_demand_total")).values()) >= 15
        assert set(client.versions) == {version.digest for version in versions}
        # One more than there is room for may be there while it is loaded, and what loading takes for itself.
        assert pool.peak <= limit + 3 * each, f"{pool.peak // MIB} of {limit // MIB} MiB, each {each // MIB}"
