"""Batchers whose streams carry nonsense, or nothing: each costs its own stream, and requests go to the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import grpc.aio
import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_router.data.batchers import frames
from headrace_router.data.batchers.members import batcher_channel
from headrace_servicekit.testing import eventually

from tests.kit.router.pools import connected, pools_of, submitted

# Bytes that protobuf refuses, and bytes that it takes, where an answer names a request of somebody else.
NONSENSE = [
    pytest.param(b"\xff" * 40, id="bytes that are no message"),
    pytest.param(b"\x0a\x7f\x01", id="a message that is cut off"),
    pytest.param(batcher_pb2.ExchangeResponse().SerializeToString() + b"\x08", id="a field without a value"),
]

ByBytes = Callable[[bytes], Awaitable[None]]


@contextlib.asynccontextmanager
async def saying(*messages: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve a batcher that says these bytes on every stream, and then nothing; yield its address, and its streams."""
    streams: list[int] = []

    async def exchange(_requests, context):
        streams.append(len(streams))
        for message in messages:
            yield message
        await asyncio.get_running_loop().create_future()

    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(exchange)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("headrace.batcher.v1.BatcherService", {"Exchange": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", streams
    finally:
        await server.stop(grace=None)


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("connect", [None, lambda address, target: batcher_channel(address, target, None)])
async def test_nonsense_from_one_batcher_costs_its_stream_and_nobody_else(batcher, nonsense, connect):
    async with saying(nonsense) as (address, streams), pools_of(batcher, more=[address], connect=connect) as pools:
        await eventually(lambda: len(streams) > 2)
        assert connected(pools) == 1
        works = submitted(pools, 10)
        assert [(await one.answer).code for one in works] == [0] * 10


async def test_a_batcher_that_says_nothing_is_left_and_asked_again(batcher, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frames, "FIRST_FRAME_S", 0.1)
    async with saying() as (address, streams), pools_of(batcher, more=[address]) as pools:
        await eventually(lambda: len(streams) > 2)
        assert connected(pools) == 1
