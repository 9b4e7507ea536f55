"""While bytes change between a data plane and its batchers, nobody is blamed, and no wrong answer is given or kept."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.roster import Roster
from headrace_batcher.servicer import BatcherServicer
from headrace_runtime.contract import from_proto
from headrace_runtime.shapes import Layout, OutputTensor
from headrace_servicekit.server import Server
from headrace_servicekit.testing import eventually

from tests.kit.router.answer_sources import ONLINE
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import V1, digits_request
from tests.kit.router.fake_control import FakeControl, lookup, table
from tests.kit.wire.forwarder import Forwarder

ROWS, AT_ONCE, WAVES = 24, 24, 10
ALLOWED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class Summing:
    """A backend whose output is the sum of each row."""

    load_control = True

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        sums = np.frombuffer(inputs[0], "<f4").reshape(rows, 4).sum(axis=1, dtype="<f4")
        return [OutputTensor("y", "FP32", (rows, 1), sums.tobytes())]

    async def load(self, files) -> None: ...

    async def unload(self, name: str) -> None: ...

    async def ready(self) -> bool:
        return True


@contextlib.asynccontextmanager
async def batcher_behind_a_wire() -> AsyncIterator[tuple[BatcherServicer, Forwarder]]:
    """Serve digits v1 by the service itself; bytes go through the forwarder."""
    roster = Roster()
    batcher = Batcher("digits--v1", from_proto(V1.contract), Limits(max_rows=64), Summing())
    roster.set_ready(roster.add(V1.digest, batcher), ready=True)
    servicer = BatcherServicer(roster, "wired", max_message_bytes=1 << 20)
    server = Server(access_log=False, on_the_loop=True)
    servicer.serve_on(server)
    await server.start()
    loop = asyncio.create_task(batcher.serve_forever())
    try:
        async with Forwarder("127.0.0.1", server.port) as wire:
            yield servicer, wire
    finally:
        loop.cancel()
        await server.stop(0)
        await asyncio.gather(loop, return_exceptions=True)


def flipping(rng: random.Random, share: float) -> Callable[[bytes], bytes]:
    """Return what changes some bytes of that share of all that is sent."""

    def change(data: bytes) -> bytes:
        if rng.random() > share:
            return data
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
        return bytes(changed)

    return change


def asked(number: int) -> tuple[predict_pb2.PredictRequest, bytes]:
    """Return a request that no other number is like, and its answer."""
    values = np.random.default_rng(number).integers(0, 1000, (ROWS, 4)).astype("<f4")
    request = digits_request(values.tobytes())
    request.inputs[0].shape[0] = ROWS
    return request, values.sum(axis=1, dtype="<f4").tobytes()


async def answers(plane: DataPlane, numbers: Sequence[int], codes: list[grpc.StatusCode]) -> list[int]:
    """Ask, check what is answered, note what is not; return what was computed rather than found."""
    computed = []

    async def ask(number: int) -> None:
        request, right = asked(number)
        try:
            answer = await plane.stub.Predict(request, timeout=1)
        except grpc.aio.AioRpcError as error:
            codes.append(error.code())
            return
        codes.append(grpc.StatusCode.OK)
        assert answer.raw_output_contents[0] == right
        assert (answer.outputs[0].name, list(answer.outputs[0].shape)) == ("y", [ROWS, 1])
        if answer.served_from == ONLINE:
            computed.append(number)

    await asyncio.gather(*map(ask, numbers))
    return computed


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
async def test_no_flipped_byte_blames_a_caller_or_becomes_an_answer_now_or_later(tmp_path: Path, seed: int):
    rng, codes = random.Random(seed), []
    async with (
        FakeControl.serving() as control,
        batcher_behind_a_wire() as (one, wire),
        batcher_behind_a_wire() as (other, other_wire),
    ):
        control.put_table(table("digits", [V1], lookup=lookup(ttl=60.0)))
        wires = (wire, other_wire)
        targets = [f"127.0.0.1:{each.port}" for each in wires]
        async with data_plane(control.target, {"default": targets}, tmp_path, cache_ttl_s=60.0) as plane:
            await eventually(lambda: plane.connected(2))
            for each in wires:
                each.change = flipping(rng, 0.05)
            computed = []
            for wave in range(WAVES):
                computed += await answers(plane, range(wave * AT_ONCE, (wave + 1) * AT_ONCE), codes)
            garbled = await plane.metric("headrace_router_frames_garbled_total")
            for each in wires:
                each.change = lambda data: data
            await eventually(lambda: plane.connected(2), within=10)
            kept = set(computed) - set(await answers(plane, computed, codes))
            disagreements = await plane.metric("headrace_router_batcher_disagreements_total")
    assert set(codes) <= ALLOWED
    assert garbled + one.frames_garbled + other.frames_garbled > 0
    assert disagreements == 0
    assert len(computed) > WAVES * AT_ONCE / 2
    assert kept
