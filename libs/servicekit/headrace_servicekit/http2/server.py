"""A gRPC server on the event loop itself, as far as `headrace_servicekit.server` needs one."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import grpc

from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.connection import Connection
from headrace_servicekit.http2.headers import (
    Headers,
    Metadata,
    ending_block,
    http_error_block,
    metadata_of,
    timeout_of,
)
from headrace_servicekit.http2.keepalive import Keepalive
from headrace_servicekit.http2.server_stream import Handler, Refusal, ServerStream
from headrace_servicekit.http2.stream import STREAM_WINDOW
from headrace_servicekit.open_files import most_connections
from headrace_servicekit.ports import listening

_BACKLOG = 1024
_MOST_STREAMS = 100
# Calls that a peer gave up before they were answered, above those that it let end.
_MOST_GIVEN_UP = 1000


class Http2Server:
    """Serves handlers. The port is taken by `bind`; calls are served after `start`.

    max_message_bytes: the most that a request may have. max_concurrent_rpcs: calls above that are refused.
    """

    def __init__(self, *, max_message_bytes: int, max_concurrent_rpcs: int | None = None) -> None:
        self.max_message_bytes = max_message_bytes
        self.most_calls = max_concurrent_rpcs
        self.calls: set[asyncio.Task[None]] = set()
        self.most_connections = most_connections()
        self.stopping = False
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._connections: set[ServerConnection] = set()
        self._listening: list[tuple[socket.socket, ssl.SSLContext | None]] = []
        self._servers: list[asyncio.Server] = []
        self._ended = asyncio.Event()

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Serve what these handlers know."""
        self._handlers += generic_rpc_handlers

    def bind(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Take a port; 0 takes a free one. Return which. Raises OSError."""
        made = listening(host, port, _BACKLOG)
        made.setblocking(False)
        self._listening.append((made, tls))
        return made.getsockname()[1]

    async def start(self) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        for made, tls in self._listening:
            server = await loop.create_server(
                lambda: ServerConnection(loop, self), sock=made, ssl=tls, backlog=_BACKLOG
            )
            self._servers.append(server)

    async def stop(self, grace: float | None) -> None:
        """Refuse new calls, give those in flight `grace` seconds, then cancel them."""
        self.stopping = True
        for server in self._servers:
            server.close()
        for made, _ in self._listening:
            made.close()
        for connection in tuple(self._connections):
            connection.say_goodbye()
        if self.calls and grace:
            await asyncio.wait(self.calls, timeout=grace)
        for call in tuple(self.calls):
            call.cancel()
        if self.calls:
            await asyncio.wait(self.calls)
        for connection in tuple(self._connections):
            connection.transport.close()
        self._ended.set()

    async def wait_for_termination(self) -> None:
        """Return when the server has stopped."""
        await self._ended.wait()

    def full(self) -> bool:
        """Return whether there are as many calls as are allowed."""
        return self.most_calls is not None and len(self.calls) >= self.most_calls

    def find(self, method: str, metadata: Metadata) -> Handler | None:
        """Return who handles a method."""
        details: Any = _Details(method, metadata)
        for candidate in self._handlers:
            handler = candidate.service(details)
            if handler is not None:
                return handler
        return None

    def joined(self, connection: ServerConnection) -> None:
        """Add a connection; abort it above `most_connections`, or when it was accepted after `stop` had begun, so that
        its caller learns that at once.
        """
        self._connections.add(connection)
        if self.stopping:
            connection.abort("the server stops")
        elif len(self._connections) > self.most_connections:
            connection.abort("the server has as many connections as it may")

    def left(self, connection: Connection) -> None:
        """Note that a connection is gone."""
        self._connections.discard(connection)  # type: ignore[arg-type]


class _Details:
    """What a generic handler is asked by."""

    __slots__ = ("invocation_metadata", "method")

    def __init__(self, method: str, invocation_metadata: Metadata) -> None:
        self.method, self.invocation_metadata = method, invocation_metadata


class ServerConnection(Connection):
    """A connection that calls come on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: Http2Server) -> None:
        super().__init__(loop, Keepalive(loop, every_s=20.0, timeout_s=10.0), server.left)
        self._server = server
        self._greeted: bytes | None = b""
        self._newest = 0
        self._given_up = 0

    def greeting(self) -> bytes:
        return wire.settings(
            (
                (wire.HEADER_TABLE_SIZE, 0),
                (wire.MAX_CONCURRENT_STREAMS, _MOST_STREAMS),
                (wire.INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            )
        )

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._server.joined(self)

    def data_received(self, data: bytes) -> None:
        if self._greeted is not None:
            data = self._greeted + data
            if not data.startswith(wire.PREFACE):
                self._greeted = data
                if not wire.PREFACE.startswith(data):
                    self.abort("the peer does not speak HTTP/2")
                return
            self._greeted, data = None, data[len(wire.PREFACE) :]
        super().data_received(data)

    def opened(self, number: int, headers: Headers) -> ServerStream | None:
        if number <= self._newest:
            return None  # of a call that has ended here
        if not number % 2:
            raise wire.WireError(f"a call with the number {number}")
        self._newest = number
        try:
            return self._stream(number, headers)
        except Refusal as refusal:
            self.answer(number, refusal.block, last=True)
            self.transport.write(wire.frame(wire.RST_STREAM, 0, number, wire.NO_ERROR.to_bytes(4, "big")))
            return None

    def _stream(self, number: int, headers: Headers) -> ServerStream:
        server, said = self._server, dict(headers)
        if not said.get("content-type", "").startswith("application/grpc"):
            raise Refusal(http_error_block(415))
        if said.get("grpc-encoding", "identity") != "identity":
            raise _refused(grpc.StatusCode.UNIMPLEMENTED, "compressed messages are not taken")
        if server.stopping:
            raise _refused(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
        if len(self.streams) >= _MOST_STREAMS or server.full():
            raise _refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls at once")
        metadata = metadata_of(headers)
        handler = server.find(said.get(":path", ""), metadata)
        if handler is None:
            raise _refused(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        try:
            timeout_s = timeout_of(headers)
        except ValueError as error:
            raise _refused(grpc.StatusCode.INTERNAL, str(error)) from None
        stream = ServerStream(self, number, handler, metadata, timeout_s, server.max_message_bytes)
        self.streams[number] = stream
        server.calls.add(stream.task)
        stream.task.add_done_callback(server.calls.discard)
        return stream

    def answer(self, number: int, block: bytes, *, last: bool) -> None:
        """Send headers of an answer; `last` ends it."""
        if not self.transport.is_closing():
            flags = wire.END_STREAM if last else 0
            self.transport.write(wire.header_frames(flags, number, block, self.peer_frame))

    def given_up(self) -> None:
        """Note that the peer gave a call up. Raises WireError when it does little else."""
        self._given_up += 1
        if self._given_up > _MOST_GIVEN_UP:
            raise wire.WireError("calls that are only begun", wire.ENHANCE_YOUR_CALM)

    def let_end(self) -> None:
        """Note that a call ended as it should."""
        self._given_up = max(0, self._given_up - 1)

    def say_goodbye(self) -> None:
        """Ask the peer to begin no more calls here."""
        if not self.transport.is_closing():
            last = self._newest.to_bytes(4, "big")
            self.transport.write(wire.frame(wire.GOAWAY, 0, 0, last + wire.NO_ERROR.to_bytes(4, "big")))


def _refused(code: grpc.StatusCode, details: str) -> Refusal:
    return Refusal(ending_block(code, details, (), alone=True))
