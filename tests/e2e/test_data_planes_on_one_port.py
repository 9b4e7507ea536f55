"""Two front doors with a data plane each on one port: one that crashes is back at once, and the other goes on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from front_door import data_plane
from headrace.router.v1 import predict_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.front_door.edge import free_ports, metadata
from tests.kit.front_door.envoy_data_plane import EnvoyPlane, envoy_plane
from tests.kit.identity.issuer import Issuer
from tests.kit.router.digits import DIGITS, V1
from tests.kit.router.fake_control import FakeControl, table

CHANNELS = 12
# Between the questions of one caller: the machine has other things to do, among them starting what crashed.
PAUSE_S = 0.05
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
]


@dataclass(slots=True)
class Caller:
    """One connection that asks one thing after the other. failed: what was not answered, and why."""

    stub: Any
    answered: int = 0
    failed: list[tuple[grpc.StatusCode, str | None]] = field(default_factory=list)

    async def ask_for_ever(self, token: str) -> None:
        while True:
            try:
                await self.stub.Predict(DIGITS, timeout=5, metadata=metadata(token))
                self.answered += 1
            except grpc.aio.AioRpcError as error:
                self.failed.append((error.code(), error.details()))
            await asyncio.sleep(PAUSE_S)


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[tuple[EnvoyPlane, EnvoyPlane]]:
    issuer = Issuer()
    (port,) = free_ports(1)
    front = {"port": port, "processes": 2}
    async with contextlib.AsyncExitStack() as stack:
        batcher = await stack.enter_async_context(FakeBatcher.serving([V1]))
        control = await stack.enter_async_context(FakeControl.serving())
        control.put_table(table("digits", [V1]))
        made = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            starting = envoy_plane(
                tmp_path / name, control.target, batcher.target, front=front, issuer=issuer, ROUTER_DATA_ID=name
            )
            made.append(await stack.enter_async_context(starting))
        for plane in made:
            await eventually(plane.ready, within=20)
        await eventually(lambda: len(batcher.streams) == 2, within=20)
        yield made[0], made[1]


@contextlib.asynccontextmanager
async def callers(plane: EnvoyPlane) -> AsyncIterator[list[Caller]]:
    async with contextlib.AsyncExitStack() as stack:
        asking = await stack.enter_async_context(asyncio.TaskGroup())
        all_of_them, tasks = [], []
        for _ in range(CHANNELS):
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(plane.door.address, _OPTIONS))
            caller = Caller(predict_pb2_grpc.RouterServiceStub(channel))
            tasks.append(asking.create_task(caller.ask_for_ever(plane.door.issuer.token())))
            all_of_them.append(caller)
        yield all_of_them
        for task in tasks:
            task.cancel()


async def import_s() -> float:
    """Return how long this machine takes at present to import the data plane: most of a start."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", f"import {data_plane.APP}")
    assert await process.wait() == 0
    return time.monotonic() - began


@pytest.mark.faults
async def test_one_that_crashes_is_back_within_a_second_and_a_half_and_the_other_goes_on(
    planes: tuple[EnvoyPlane, EnvoyPlane],
):
    victim, _ = planes
    back_after, bounds = [], []
    async with callers(victim) as asking:
        for _ in range(3):
            await eventually(lambda: all(caller.answered > 3 for caller in asking), within=20)
            starts = victim.starts
            crashed_at = time.monotonic()
            victim.envoy.send_signal(signal.SIGSEGV)

            async def is_back(starts: int = starts) -> bool:
                return victim.starts > starts and await victim.ready()

            await eventually(is_back, within=30, every=0.02)
            back_after.append(time.monotonic() - crashed_at)
            # On a machine with time for it, that is; the suite itself keeps it busy.
            bounds.append(max(1.5, 2.5 * await import_s()))
            for caller in asking:
                caller.answered = 0
            # In flight on each connection to it was one request: those fail, and what the kernel still gave to the
            # dying process when they connected anew; nothing that was sent afterwards.
            assert max(len(caller.failed) for caller in asking) <= 2, [caller.failed[:5] for caller in asking]
            assert {code for caller in asking for code, _ in caller.failed} <= {grpc.StatusCode.UNAVAILABLE}
            for caller in asking:
                caller.failed.clear()
    assert any(after < bound for after, bound in zip(back_after, bounds, strict=True)), (back_after, bounds)
    assert victim.door.process.poll() is None


@pytest.mark.long
async def test_a_client_may_send_as_much_to_both_together_as_it_might_to_one(tmp_path: Path):
    async with FakeBatcher.serving([V1]) as batcher, FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        front = {"processes": 2, "client_requests_per_second": 20}
        async with envoy_plane(tmp_path, control.target, batcher.target, front=front) as plane:
            await eventually(plane.ready, within=20)
            token = plane.door.issuer.token()

            async def ask() -> grpc.StatusCode:
                call = plane.stub.Predict(DIGITS, timeout=5, metadata=metadata(token))
                return await call.code()

            began = time.monotonic()
            codes = await asyncio.gather(*(ask() for _ in range(60)))
            assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
            assert 10 <= codes.count(grpc.StatusCode.OK) <= 11 + 10 * (time.monotonic() - began)
