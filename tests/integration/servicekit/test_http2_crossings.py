"""What crosses on a connection: an answer and the leaving of its caller, a write and the end of its call."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.channel import Channel
from headrace_servicekit.http2.headers import answer_block, ending_block
from headrace_servicekit.http2.server import Http2Server, ServerConnection
from headrace_servicekit.testing import eventually

ENDING = ending_block(grpc.StatusCode.OK, "", (), alone=False)


class Server:
    """Answers when it is told to, whatever has become of the call. calls: numbers of those that came, in order.

    reads: whether it reads what comes after the first call's headers.
    """

    def __init__(self, *, reads: bool = True) -> None:
        self._reads = reads
        self.calls: asyncio.Queue[int] = asyncio.Queue()
        self.connections = 0
        self.left, self._dropped = asyncio.Event(), asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writer = writer
        windows = wire.settings(((wire.INITIAL_WINDOW_SIZE, wire.MAX_WINDOW),)) + wire.window_update(0, 2**30)
        writer.write(windows)
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readexactly(len(wire.PREFACE))
            while True:
                high, low, kind, _, number = wire.HEAD.unpack(await reader.readexactly(wire.HEAD_BYTES))
                await reader.readexactly(high << 8 | low)
                if kind == wire.HEADERS:
                    self.calls.put_nowait(number)
                    if not self._reads:
                        await self._dropped.wait()
                        writer.transport.abort()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.left.set()

    def drop(self) -> None:
        """End the connection of a server that does not read."""
        self._dropped.set()

    def answer(self, number: int, body: bytes) -> None:
        assert self._writer is not None
        self._writer.write(
            wire.frame(wire.HEADERS, wire.END_HEADERS, number, answer_block())
            + wire.frame(wire.DATA, 0, number, wire.message(body))
            + wire.frame(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, number, ENDING)
        )


@contextlib.asynccontextmanager
async def connected(
    max_message_bytes: int | None = None, *, reads: bool = True
) -> AsyncIterator[tuple[Server, Channel]]:
    server = Server(reads=reads)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        async with Channel(f"127.0.0.1:{port}", max_message_bytes=max_message_bytes) as channel:
            yield server, channel
        await asyncio.wait_for(server.left.wait(), 20)


async def test_a_connection_that_was_accepted_before_the_end_and_made_after_it_is_closed():
    loop, server = asyncio.get_running_loop(), Http2Server(max_message_bytes=1024)
    await server.stop(None)
    ours, theirs = socket.socketpair()
    with theirs:
        await loop.connect_accepted_socket(lambda: ServerConnection(loop, server), ours)
        theirs.setblocking(False)
        received = await asyncio.wait_for(_until_closed(loop, theirs), 10)
    assert received


async def _until_closed(loop: asyncio.AbstractEventLoop, peer: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        while await loop.sock_recv(peer, 4096):
            pass
    return True


async def test_an_answer_that_comes_after_its_caller_has_left_harms_no_other_call():
    async with connected() as (server, channel):
        call = channel.unary_unary("/a.A/Do", bytes, bytes)
        left = asyncio.create_task(call(b"1", timeout=20))
        number = await server.calls.get()
        beside = asyncio.create_task(call(b"2", timeout=20))
        other = await server.calls.get()
        left.cancel()
        await asyncio.wait({left})
        server.answer(number, b"late")
        server.answer(other, b"yes")
        assert await beside == b"yes"
        assert server.connections == 1


async def test_an_answer_that_is_too_large_harms_no_other_call():
    async with connected(max_message_bytes=10) as (server, channel):
        call = channel.unary_unary("/a.A/Do", bytes, bytes)
        large = asyncio.create_task(call(b"1", timeout=20))
        number = await server.calls.get()
        beside = asyncio.create_task(call(b"2", timeout=20))
        other = await server.calls.get()
        server.answer(number, b"x" * 11)
        with pytest.raises(grpc.aio.AioRpcError):
            await large
        server.answer(other, b"yes")
        assert await beside == b"yes"
        assert server.connections == 1


@pytest.mark.parametrize("ends", ["the server", "the caller"])
async def test_a_writer_whom_a_full_socket_holds_up_learns_that_the_call_has_ended(ends: str):
    async with connected(reads=False) as (server, channel):
        stream = channel.stream_stream("/a.A/Do", bytes, bytes)()
        written = 0

        async def write() -> None:
            nonlocal written
            while True:
                await stream.write(b"x" * 1_000_000)
                written += 1

        async def stands_still() -> bool:
            before = written
            await asyncio.sleep(0.1)
            return written > 0 and before == written

        writing = asyncio.create_task(write())
        await server.calls.get()
        await eventually(stands_still, within=20)
        if ends == "the caller":
            stream.cancel()
        else:
            server.drop()
        with pytest.raises(grpc.aio.AioRpcError):
            await asyncio.wait_for(writing, 20)
        server.drop()
