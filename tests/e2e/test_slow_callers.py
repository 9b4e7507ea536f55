"""Callers who take their time, as many as may connect: they are held to bounds, and the others are answered."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import grpc.aio
import psutil
import pytest
from headrace.router.v1 import predict_pb2_grpc
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.clients.refusals import grpc_refusal
from tests.kit.front_door.edge import PREDICT, get, metadata
from tests.kit.front_door.envoy_data_plane import EnvoyPlane, envoy_plane
from tests.kit.identity.issuer import write_denied
from tests.kit.router.fake_control import FakeControl, resolved_version, table
from tests.kit.router.predict_requests import predict_request
from tests.kit.wire.framing import frame
from tests.kit.wire.slow_http2 import MOST_STREAMS, SlowConnection, grpc_headers
from tests.kit.wire.sockets import connected, is_closed

pytestmark = pytest.mark.faults

MIB = 1024 * 1024
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
SMALL = predict_request("small", ("x", "FP32", [1, 4], bytes(16)))
LARGE = predict_request("large", ("x", "FP32", [1, 4], bytes(16)))
ANSWER_BYTES = 256 * 1024
ROWS_PATH, ROWS = "/v1/models/small:predict", b'{"instances": [[1, 2, 3, 4]]}'
VERSIONS = (
    resolved_version("small", "v1"),
    resolved_version(
        "large", "v1", outputs=[tensor_pb2.TensorSpec(name="y", datatype="FP32", shape=[ANSWER_BYTES // 4])]
    ),
)


@contextlib.asynccontextmanager
async def plane_of(
    tmp_path: Path, *, open_files: int | None = None, max_requests: int = 16_384, **front: int
) -> AsyncIterator[EnvoyPlane]:
    """Start a front door whose data plane serves a model with small answers and one with large ones."""
    async with FakeBatcher.serving(VERSIONS) as batcher, FakeControl.serving() as control:
        for version in VERSIONS:
            control.put_table(table(version.model, [version]))
        async with envoy_plane(
            tmp_path,
            control.target,
            batcher.target,
            front=front,
            open_files=open_files,
            ROUTER_DATA_ACCESS_LOG_ONE_IN="0",
            ROUTER_DATA_MAX_CONCURRENT_RPCS=str(max_requests),
        ) as plane:
            await eventually(plane.ready, within=30)
            await eventually(lambda: bool(batcher.streams), within=20)
            yield plane


@contextlib.asynccontextmanager
async def another_caller(plane: EnvoyPlane) -> AsyncIterator[Counter[str]]:
    """Ask again and again, as another client on a connection of its own, and count what is answered."""
    seen: Counter[str] = Counter()
    by = metadata(plane.door.issuer.token(sub="another"))

    async def ask() -> None:
        while True:
            try:
                await plane.stub.Predict(SMALL, timeout=10, metadata=by)
                seen["answered"] += 1
            except grpc.aio.AioRpcError as error:
                seen[f"{error.code().name} {error.details()}"] += 1
            await asyncio.sleep(0.05)

    asking = asyncio.create_task(ask())
    try:
        await eventually(lambda: seen["answered"] >= 3, within=20)
        yield seen
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_answers_that_nobody_reads_take_no_more_memory_than_there_may_be(tmp_path: Path):
    most = 384 * MIB
    async with plane_of(tmp_path, max_heap_bytes=most) as plane, another_caller(plane) as seen:
        headers = grpc_headers(plane.door.issuer.token(sub="slow"))
        resident = []

        def ask_for_more(held: list[SlowConnection]) -> None:
            for slow in held:
                with contextlib.suppress(OSError):  # whoever holds too much loses its connection
                    slow.ask(PREDICT, headers, frame(LARGE.SerializeToString()))

        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(SlowConnection(plane.door.address)) for _ in range(20)]

            async def ended() -> bool:
                await asyncio.to_thread(ask_for_more, held)
                resident.append(plane.envoy.memory_info().rss)
                return await asyncio.to_thread(_ended_for_memory, plane) > 20

            # All of it would be 20 connections x 250 streams x 256 KiB = 1.2 GiB.
            await eventually(ended, within=120, every=0.2)
            answered = seen["answered"]
            await eventually(lambda: seen["answered"] > answered + 20, within=20)
        assert max(resident) < 1.5 * most
        assert seen.keys() == {"answered"}, seen
        await eventually(plane.ready, within=10)


def _ended_for_memory(plane: EnvoyPlane) -> int:
    """Return how many streams Envoy ended because they held much while memory was short."""
    return plane.door.stat("envoy.overload_actions.reset_high_memory_stream.count")


@pytest.mark.parametrize(
    ("path", "headers", "begun"),
    [
        pytest.param(PREDICT, grpc_headers, b"", id="gRPC, headers alone"),
        pytest.param(PREDICT, grpc_headers, frame(SMALL.SerializeToString())[:9], id="gRPC, half a message"),
        pytest.param(
            ROWS_PATH,
            lambda token: [("content-type", "application/json"), ("authorization", f"Bearer {token}")],
            ROWS[:9],
            id="REST, half a body",
        ),
    ],
)
async def test_requests_that_do_not_end_leave_room_for_other_clients(
    tmp_path: Path, path: str, headers: Callable[[str], list[tuple[str, str]]], begun: bytes
):
    async with (
        plane_of(tmp_path, max_requests=200) as plane,
        another_caller(plane) as seen,
    ):
        by = headers(plane.door.issuer.token(sub="slow"))
        with SlowConnection(plane.door.address) as one, SlowConnection(plane.door.address) as other:
            for _ in range(MOST_STREAMS):
                one.ask(path, by, begun, whole=False)
                other.ask(path, by, begun, whole=False)
            await eventually(lambda: _refused(plane) > 200, within=20, every=0.2)
            answered = seen["answered"]
            await eventually(lambda: seen["answered"] > answered + 20, within=20)
            # Where it is full, too.
            response = await asyncio.to_thread(
                plane.door.http, "POST", ROWS_PATH, plane.door.issuer.token(sub="third"), content=ROWS
            )
            assert response.status_code == 200
        assert seen.keys() == {"answered"}, seen


async def test_new_callers_are_refused_at_once_while_files_are_used_up(tmp_path: Path):
    async with plane_of(tmp_path) as plane, another_caller(plane) as seen:
        envoy = plane.envoy
        limit = envoy.rlimit(psutil.RLIMIT_NOFILE)
        # As if something within had taken nearly all of them: no connection limit that was set at the start holds.
        envoy.rlimit(psutil.RLIMIT_NOFILE, (envoy.num_fds() + 7, limit[1]))
        await eventually(lambda: "files are scarce" in (plane.door.directory / "front-door.log").read_text())
        await asyncio.sleep(1)  # until Envoy has heard of it
        async with contextlib.AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(grpc.aio.insecure_channel(plane.door.address, OWN_CONNECTION))
                for _ in range(20)
            ]
            took_s = await asyncio.gather(*(_refused_after(plane, channel) for channel in channels))
        assert max(took_s) < 1, took_s
        envoy.rlimit(psutil.RLIMIT_NOFILE, limit)

        async def lets_in() -> bool:
            async with grpc.aio.insecure_channel(plane.door.address, OWN_CONNECTION) as channel:
                stub = predict_pb2_grpc.RouterServiceStub(channel)
                try:
                    await stub.Predict(SMALL, timeout=5, metadata=metadata(plane.door.issuer.token()))
                except grpc.aio.AioRpcError:
                    return False
                return True

        await eventually(lets_in, within=10)
        assert seen.keys() == {"answered"}, seen


async def _refused_after(plane: EnvoyPlane, channel: grpc.aio.Channel) -> float:
    """Make a call on a new connection that must be refused; return how long that took."""
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await predict_pb2_grpc.RouterServiceStub(channel).Predict(
            SMALL, timeout=5, metadata=metadata(plane.door.issuer.token())
        )
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return time.monotonic() - began


def _refused(plane: EnvoyPlane) -> float:
    """Return how many requests the data plane has refused because there are too many."""
    lines = get(f"http://127.0.0.1:{plane.metrics_port}/metrics").splitlines()
    refused = [one for one in lines if "predictions_total{" in one and 'code="RESOURCE_EXHAUSTED"' in one]
    return sum(float(one.rpartition(" ")[2]) for one in refused)


async def test_connections_end_before_open_files_do(tmp_path: Path):
    async with plane_of(tmp_path, open_files=512) as plane, another_caller(plane) as seen:
        log = (plane.door.directory / "front-door.log").read_text()
        assert "fewer connections than set" in log
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(connected(plane.door.address)) for _ in range(600)]
            await eventually(lambda: sum(map(is_closed, held)) >= 300, within=20)
            # What needs files of its own inside Envoy goes on: readiness, and the list of denied clients.
            assert await plane.ready()
            token = plane.door.issuer.token(sub="mallory")
            await plane.stub.Predict(SMALL, timeout=10, metadata=metadata(token))
            write_denied(plane.door.directory, "mallory")

            async def denied() -> bool:
                try:
                    await plane.stub.Predict(SMALL, timeout=10, metadata=metadata(token))
                except grpc.aio.AioRpcError as error:
                    return grpc_refusal(error).reason == "CLIENT_DENIED"
                return False

            await eventually(denied, within=5)
        assert seen.keys() == {"answered"}, seen
        async with grpc.aio.insecure_channel(plane.door.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            by = metadata(plane.door.issuer.token())
            await predict_pb2_grpc.RouterServiceStub(channel).Predict(
                SMALL, timeout=20, metadata=by, wait_for_ready=True
            )
