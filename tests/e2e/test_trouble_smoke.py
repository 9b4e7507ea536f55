"""One of each kind of trouble: a process that is killed, one that is silent, a link that is cut, a queue without room.

A front door of these tests with its data plane, between a control plane and a batcher that they hold in their hands;
the queue is one of the shared stack. What else is killed, frozen and cut off, and what it costs, `make test-all` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
import pytest_asyncio
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.clients.refusals import Refusal, grpc_refusal
from tests.kit.front_door.edge import metadata
from tests.kit.front_door.envoy_data_plane import EnvoyPlane, envoy_plane
from tests.kit.models import onnx_models
from tests.kit.router.digits import DIGITS, V1, V2
from tests.kit.router.fake_control import FakeControl, table
from tests.kit.stack.served_models import Served, request, serve
from tests.kit.wire.forwarder import Forwarder

# Of one request, and what may wait for a version.
ROWS, QUEUE_ROWS = 256, 4096
SLOW = f"trouble-slow-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


@dataclass(frozen=True, slots=True)
class Scene:
    """A front door with its data plane, and its links to the others."""

    plane: EnvoyPlane
    control: FakeControl
    to_control: Forwarder
    to_batcher: Forwarder

    async def answer(self, timeout: float = 10.0) -> predict_pb2.PredictResponse:
        """Return the answer to a prediction; raises AioRpcError."""
        by = metadata(self.plane.door.issuer.token())
        return await self.plane.stub.Predict(DIGITS, timeout=timeout, metadata=by)

    async def answered_by(self, version: str) -> bool:
        """Return whether a version answers."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            return (await self.answer()).version == version
        return False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with FakeBatcher.serving([V1, V2]) as batcher, FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        async with (
            Forwarder.before(f"http://{control.target}") as to_control,
            Forwarder.before(f"http://{batcher.target}") as to_batcher,
            envoy_plane(
                tmp_path_factory.mktemp("envoy"), f"127.0.0.1:{to_control.port}", f"127.0.0.1:{to_batcher.port}"
            ) as plane,
        ):
            running = Scene(plane, control, to_control, to_batcher)
            await eventually(lambda: running.answered_by("v1"), within=30)
            yield running


@pytest.mark.asyncio(loop_scope="module")
async def test_a_killed_front_door_is_started_again_and_answers(scene: Scene):
    starts = await eventually(lambda: scene.plane.starts, within=20)
    scene.plane.envoy.kill()
    await eventually(lambda: scene.plane.starts > starts, within=30)
    await eventually(lambda: scene.answered_by("v1"), within=30)
    assert scene.plane.door.process.poll() is None


@pytest.mark.asyncio(loop_scope="module")
async def test_a_batcher_that_is_silent_costs_its_callers_their_deadline_and_answers_when_it_is_back(scene: Scene):
    scene.to_batcher.freeze()
    try:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await scene.answer(timeout=0.5)
        assert caught.value.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
    finally:
        scene.to_batcher.mend()
    await eventually(lambda: scene.answered_by("v1"), within=30)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_data_plane_that_is_cut_off_goes_on_by_its_table_and_hears_of_the_next_one(scene: Scene):
    scene.to_control.cut()
    try:
        scene.control.put_table(table("digits", [V2]))
        assert {(await scene.answer()).version for _ in range(20)} == {"v1"}
    finally:
        scene.to_control.mend()
    await eventually(lambda: scene.answered_by("v2"), within=30)
    scene.control.put_table(table("digits", [V1]))
    await eventually(lambda: scene.answered_by("v1"), within=30)


async def test_more_than_a_queue_has_room_for_is_refused_with_a_time_to_come_again_and_others_are_answered(
    served: Served, unharmed: None
):
    # A model of these tests alone, busy for so long that rows gather behind what it executes.
    serve(served.client, SLOW, {"v1": onnx_models.slow(400)})
    message = request(SLOW, x=np.ones((ROWS, 4), np.float32))
    async with grpc.aio.insecure_channel(served.stack.address) as channel:
        stub: Any = predict_pb2_grpc.RouterServiceStub(channel)
        by = metadata(served.stack.token())
        calls = [stub.Predict(message, timeout=60, metadata=by) for _ in range(4 * QUEUE_ROWS // ROWS)]
        try:
            refusal = await _first_refusal(calls)
        finally:
            for call in calls:
                call.cancel()
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    # On a machine so busy that even what there is room for would be answered too late it is the other one.
    assert refusal.reason in ("QUEUE_FULL", "OVERLOADED")
    assert refusal.retry_after_s is not None


async def _first_refusal(calls: Sequence[Any]) -> Refusal:
    for ended in asyncio.as_completed([call.code() for call in calls]):
        if await ended is not grpc.StatusCode.OK:
            break
    for call in calls:
        if call.done() and await call.code() is not grpc.StatusCode.OK:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            return grpc_refusal(caught.value)
    raise AssertionError("all of them were answered")
