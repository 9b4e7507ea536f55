"""What callers see when a real batcher's Triton dies or a batcher hangs: a data plane over real batchers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from headrace.router.v1 import control_pb2, predict_pb2, route_pb2
from headrace_servicekit.testing import eventually, free_port, patience

from tests.kit.batcher.process import process_of, until_listening
from tests.kit.batcher.service import ACTIVE, BatcherRig, batcher_rig
from tests.kit.models import onnx_models
from tests.kit.models.triton_processes import SERVER, triton_pids
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.fake_control import table
from tests.kit.router.predict_requests import predict_request
from tests.kit.stores.servers import S3Store

MODEL = onnx_models.linear()
ROW = np.array([[0, 1, 2, 3]], np.float32)
REQUEST = predict_request("linear", ("features", "FP32", [1, 4], ROW.tobytes()))


class Load:
    """Callers that ask one request after the other, and what became of each."""

    def __init__(self, plane: DataPlane, *, timeout_s: float) -> None:
        self._plane, self._timeout_s = plane, timeout_s
        self.answers: list[predict_pb2.PredictResponse] = []
        self.longest_s = 0.0

    @contextlib.asynccontextmanager
    async def running(self, callers: int) -> AsyncIterator[Load]:
        """Ask until the block ends; an error of any call is raised."""
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(self._ask()) for _ in range(callers)]
            yield self
            for task in asking:
                task.cancel()

    def sources(self) -> Counter[tuple[str, str, str]]:
        """Return how many answers came of which version, by which step and for which reason."""
        return Counter((one.version, one.fallback_step, one.degraded_reason) for one in self.answers)

    async def until(self, more: int) -> None:
        """Return after so many more answers."""
        goal = len(self.answers) + more
        await eventually(lambda: len(self.answers) >= goal, within=60)

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self.answers.append(await self._plane.stub.Predict(REQUEST, timeout=self._timeout_s))
            self.longest_s = max(self.longest_s, loop.time() - began)


@dataclass(frozen=True, slots=True)
class Batcher:
    """A batcher process and its ports."""

    process: asyncio.subprocess.Process
    port: int
    metrics_port: int

    async def answered(self) -> float:
        """Return how many requests it has answered."""
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10)).text
        lines = [line for line in metrics.splitlines() if line.startswith("batcher_requests_answered_total")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.fixture
async def rig(s3: S3Store, tmp_path: Path, triton_command: Path) -> AsyncIterator[BatcherRig]:
    async with batcher_rig(s3, tmp_path, "triton", triton_command) as rig:
        yield rig


@pytest.mark.faults
async def test_with_triton_killed_under_load_every_caller_is_answered_and_told_by_whom_and_why(
    rig: BatcherRig, tmp_path: Path
):
    first, small = await rig.version("linear", MODEL), await rig.version("linear", onnx_models.linear(seed=5), "small")
    rig.control.put_demand("default", [(first, ACTIVE)])
    rig.control.put_demand("cpu", [(small, ACTIVE)])
    route = table("linear", [first, small])
    route.fallback.add(name="cpu").backup.CopyFrom(
        control_pb2.ResolvedFallbackStep.ResolvedBackup(digest=small.digest, pool="cpu")
    )
    neutral = route_pb2.FallbackStep.Row(outputs={"scores": route_pb2.FallbackStep.Values(numbers=[0.1, 0.2, 0.7])})
    route.fallback.append(control_pb2.ResolvedFallbackStep(name="neutral", constant=neutral))
    rig.control.put_table(route)
    cpu_rig = rig.twin(tmp_path / "cpu")
    async with (
        rig.running() as gpu,
        cpu_rig.running(pool="cpu", backend="onnxruntime") as cpu,
        data_plane(
            rig.control.target,
            {"default": [gpu.servers[0].address], "cpu": [cpu.servers[0].address]},
            tmp_path / "plane",
            cache_ttl_s=0.0,
        ) as plane,
    ):

        async def online() -> bool:
            return not (await plane.stub.Predict(REQUEST, timeout=5)).fallback_step

        await eventually(online, within=60)
        async with Load(plane, timeout_s=5.0).running(10) as load:
            await load.until(50)

            def degraded_while_killed() -> bool:
                # More than once: it is back within a second, and so long a request waits for it.
                for pid in triton_pids(rig.models, SERVER):
                    os.kill(pid, signal.SIGKILL)
                return any(one.fallback_step for one in load.answers)

            await eventually(degraded_while_killed, within=30)
            await eventually(lambda: not load.answers[-1].fallback_step, within=60)  # Triton was started anew
            await load.until(20)
    sources = load.sources()
    degraded = {key: count for key, count in sources.items() if key[1]}
    assert {(version, step) for version, step, _ in degraded} <= {("small", "cpu"), ("", "neutral")}
    assert all(reason for _, _, reason in degraded)
    assert sum(degraded.values()) >= 10
    assert sources["v1", "", ""] == len(load.answers) - sum(degraded.values())


@contextlib.asynccontextmanager
async def two_batchers(rig: BatcherRig, directory: Path) -> AsyncIterator[tuple[DataPlane, list[Batcher]]]:
    """Two processes of one pool that serve MODEL, and a data plane that uses both."""
    version = await rig.version("linear", MODEL)
    rig.control.put_demand("default", [(version, ACTIVE)])
    rig.control.put_table(table("linear", [version]))
    batchers = []
    async with contextlib.AsyncExitStack() as stack:
        for each in (rig, rig.twin(directory / "two")):
            port, metrics = free_port(), free_port()
            starting = process_of(
                each, directory / f"batcher-{port}.log", backend="onnxruntime", port=port, metrics_port=metrics
            )
            batchers.append(Batcher(await stack.enter_async_context(starting), port, metrics))
            await until_listening(port)
        ready = control_pb2.VersionReport.STATE_READY
        await eventually(
            lambda: [rig.control.state_of(one, version.digest) for one in rig.control.reports] == [ready, ready],
            within=60,
        )
        pools = {"default": [f"127.0.0.1:{one.port}" for one in batchers]}
        plane = await stack.enter_async_context(
            data_plane(rig.control.target, pools, directory / "plane", cache_ttl_s=0.0)
        )
        await eventually(lambda: plane.connected(2), within=60)
        yield plane, batchers


@pytest.mark.faults
async def test_a_batcher_that_hangs_costs_no_request_and_no_more_than_five_seconds(rig: BatcherRig, tmp_path: Path):
    async with two_batchers(rig, tmp_path) as (plane, (hanging, _)):
        async with Load(plane, timeout_s=10.0).running(10) as load:
            await load.until(200)
            hanging.process.send_signal(signal.SIGSTOP)
            try:
                stopped = asyncio.get_running_loop().time()
                await eventually(lambda: asyncio.get_running_loop().time() - stopped > 5.0, within=10)
            finally:
                hanging.process.send_signal(signal.SIGCONT)
            await load.until(100)
        assert load.longest_s < patience(5.0)
        assert set(load.sources()) == {("v1", "", "")}
        retried = await plane.metric("headrace_router_retries_total")
        assert retried + await plane.metric("headrace_router_ejections_total") > 0


@pytest.mark.faults
@pytest.mark.long
async def test_a_slow_batcher_gets_fewer_requests(rig: BatcherRig, tmp_path: Path):
    async with two_batchers(rig, tmp_path) as (plane, (slow, quick)):

        async def throttle() -> None:
            try:
                while True:
                    slow.process.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(0.1)
                    slow.process.send_signal(signal.SIGCONT)
                    await asyncio.sleep(0.02)
            finally:
                slow.process.send_signal(signal.SIGCONT)

        before = [await one.answered() for one in (slow, quick)]
        throttling = asyncio.create_task(throttle())
        async with Load(plane, timeout_s=10.0).running(6) as load:
            await load.until(600)
            throttling.cancel()
        by_slow, by_quick = [await one.answered() - was for one, was in zip((slow, quick), before, strict=True)]
    assert set(load.sources()) == {("v1", "", "")}
    assert by_slow < by_quick / 2
