"""Peers that break the protocol: they are cut off with a reason, and others go on."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import grpc.aio
import pytest
from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.channel import Channel
from headrace_servicekit.http2.connection import CONNECTION_WINDOW
from headrace_servicekit.http2.headers import request_block
from headrace_servicekit.server import Server
from headrace_servicekit.testing import eventually, serving

from tests.kit.servicekit.toy import SERVICE, Note, echoing

GREETING = wire.PREFACE + wire.settings(())
ANSWER = request_block(f"/{SERVICE}/Answer", "here", secure=False)
CONVERSE = request_block(f"/{SERVICE}/Converse", "here", secure=False)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    def register(server: Server) -> None:
        server.add_registered_method_handlers(SERVICE, echoing())

    async with serving(register, on_the_loop=True) as running:
        yield running
        async with grpc.aio.insecure_channel(running.address) as channel:  # whatever the peer did
            call = channel.unary_unary(f"/{SERVICE}/Answer")
            assert await call(Note(text="x").SerializeToString(), timeout=20) == Note(text="x").SerializeToString()
        await eventually(lambda: running.active == 0, within=20)


@contextlib.asynccontextmanager
async def peer(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def farewell(reader: asyncio.StreamReader) -> tuple[int, str] | None:
    """Return what the GOAWAY says before the server closes; None when it closes without one."""
    data = await asyncio.wait_for(reader.read(-1), 20)
    while len(data) >= wire.HEAD_BYTES:
        high, low, kind, _, _ = wire.HEAD.unpack_from(data)
        end = wire.HEAD_BYTES + (high << 8 | low)
        if kind == wire.GOAWAY:
            payload = data[wire.HEAD_BYTES : end]
            return int.from_bytes(payload[4:8], "big"), payload[8:].decode()
        data = data[end:]
    return None


async def said_to(server: Server, data: bytes) -> tuple[int, str] | None:
    async with peer(server) as (reader, writer):
        writer.write(data)
        with contextlib.suppress(ConnectionError):
            return await farewell(reader)
    return None


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"PRI * HTTP/2.1"])
async def test_what_is_not_http2_is_cut_off(server: Server, data: bytes):
    assert await said_to(server, data) is None


HEADERS = wire.header_frames(0, 1, ANSWER, 1 << 14)


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (wire.frame(wire.DATA, 0, 0, b"x"), wire.PROTOCOL_ERROR, "DATA without a stream"),
        ((1 << 20).to_bytes(3, "big") + bytes(6), wire.FRAME_SIZE_ERROR, "a frame of 1048576 bytes"),
        (wire.frame(wire.SETTINGS, 0, 0, b"abc"), wire.FRAME_SIZE_ERROR, "ends within a setting"),
        (wire.settings([(wire.INITIAL_WINDOW_SIZE, 2**31)]), wire.FLOW_CONTROL_ERROR, "a window that is too large"),
        (wire.settings([(wire.MAX_FRAME_SIZE, 1)]), wire.PROTOCOL_ERROR, "frames of 1 bytes"),
        (wire.window_update(0, wire.MAX_WINDOW), wire.FLOW_CONTROL_ERROR, "a window that is too large"),
        (HEADERS + wire.window_update(1, wire.MAX_WINDOW), wire.FLOW_CONTROL_ERROR, "a window that is too large"),
        (wire.frame(wire.WINDOW_UPDATE, 0, 0, b"x"), wire.FRAME_SIZE_ERROR, "a WINDOW_UPDATE frame has 1 bytes"),
        (wire.frame(wire.GOAWAY, 0, 0, b"x"), wire.FRAME_SIZE_ERROR, "a GOAWAY frame is too short"),
        (wire.frame(wire.PUSH_PROMISE, 0, 1, b""), wire.PROTOCOL_ERROR, "a push"),
        (wire.frame(wire.CONTINUATION, 0, 1, b""), wire.PROTOCOL_ERROR, "a CONTINUATION of nothing"),
        (wire.frame(wire.HEADERS, 0, 1, b"") + wire.frame(wire.PING, 0, 0, b"12345678"), wire.PROTOCOL_ERROR, "interr"),
        (wire.header_frames(0, 2, ANSWER, 1 << 14), wire.PROTOCOL_ERROR, "a call with the number 2"),
        (wire.frame(wire.HEADERS, wire.END_HEADERS, 1, b"\xff\xff\xff"), 9, "a header block cannot be read"),
        (wire.frame(wire.HEADERS, wire.PADDED, 1, b"\x09x"), wire.PROTOCOL_ERROR, "more padding than bytes"),
        (
            wire.frame(wire.HEADERS, 0, 1, b"") + wire.frame(wire.CONTINUATION, 0, 1, b"\0" * 16_000) * 5,
            wire.ENHANCE_YOUR_CALM,
            "too many headers",
        ),
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_told_how(server: Server, data: bytes, code: int, reason: str):
    said = await said_to(server, GREETING + data)
    assert said is not None
    assert said[0] == code
    assert reason in said[1]


async def test_calls_that_are_begun_and_given_up_without_end_are_stopped(server: Server):
    begun = [
        wire.header_frames(0, number, CONVERSE, 1 << 14)
        + wire.frame(wire.RST_STREAM, 0, number, wire.CANCEL.to_bytes(4, "big"))
        for number in range(1, 4001, 2)
    ]
    # What is said is lost when more has come than was read: the connection is reset.
    assert await said_to(server, GREETING + b"".join(begun)) in (
        None,
        (wire.ENHANCE_YOUR_CALM, "calls that are only begun"),
    )


async def test_pings_whose_answers_are_not_read_are_stopped(server: Server):
    pings = wire.frame(wire.PING, 0, 0, b"12345678") * 10_000
    async with peer(server) as (_, writer):
        writer.write(GREETING)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 1 << 28:
                writer.write(pings)
                await asyncio.wait_for(writer.drain(), 20)
                sent += len(pings)
    assert sent < 1 << 28


async def test_more_data_than_the_window_is_refused(server: Server):
    part = wire.frame(wire.DATA, 0, 1, b"\0\0\xff\xff\xff" + b"x" * 16_000)
    more = wire.frame(wire.DATA, 0, 1, b"x" * 16_000)
    async with peer(server) as (reader, writer):
        writer.write(GREETING + wire.header_frames(0, 1, CONVERSE, 1 << 14) + part)
        with contextlib.suppress(ConnectionError):
            for _ in range(CONNECTION_WINDOW // 16_000):
                writer.write(more)
                await asyncio.wait_for(writer.drain(), 20)
        # It is larger than a message may be, so the call was ended long before; the connection was not.
        kinds = set()
        while wire.RST_STREAM not in kinds:
            high, low, kind, _, _ = wire.HEAD.unpack(await asyncio.wait_for(reader.readexactly(wire.HEAD_BYTES), 20))
            await reader.readexactly(high << 8 | low)
            kinds.add(kind)


async def test_a_call_above_those_that_one_peer_may_have_is_refused_alone(server: Server):
    async with Channel(server.address) as channel:
        kinds = {"request_serializer": bytes, "response_deserializer": bytes}
        calls = [channel.stream_stream(f"/{SERVICE}/Converse", **kinds)() for _ in range(100)]
        for call in calls:
            await call.write(Note(text="x").SerializeToString())
            assert await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(f"/{SERVICE}/Answer", **kinds)(b"", timeout=20)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for call in calls:
            call.cancel()


@pytest.mark.parametrize("seed", range(5))
async def test_random_frames_break_nothing(server: Server, seed: int):
    rng = random.Random(seed)
    for _ in range(40):
        frames = [wire.header_frames(0, 1, rng.choice((ANSWER, CONVERSE)), 1 << 14)] if rng.random() < 0.7 else []
        for _ in range(rng.randrange(1, 12)):
            payload = rng.randbytes(rng.randrange(0, 60))
            frames.append(wire.frame(rng.randrange(0, 12), rng.randrange(0, 64), rng.choice((0, 1, 1, 3)), payload))
        async with peer(server) as (reader, writer):
            writer.write(GREETING + b"".join(frames))
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(-1), 20)
