"""A channel to one address for generated stubs: unary calls and streams, without grpc.aio's threads in between.

    channel = Channel("127.0.0.1:8001")
    answer = await GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=1.0)

Failures are grpc.aio.AioRpcError, as everywhere. Connects at the first call, and again after a lost connection; calls
in flight then fail with UNAVAILABLE. One address, no retries, no proxy: for neighbours, and for members of a pool with
its own balancer.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import grpc

from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.calls import (
    AnswersMethod,
    ClientStream,
    Parse,
    Serialize,
    StreamMethod,
    UnaryMethod,
    fail,
)
from headrace_servicekit.http2.connection import Connection
from headrace_servicekit.http2.headers import Headers, request_block
from headrace_servicekit.http2.keepalive import Keepalive
from headrace_servicekit.http2.stream import STREAM_WINDOW
from headrace_servicekit.unix_sockets import path_of

_CONNECT_TIMEOUT_S = 3.0


class Channel:
    """Calls to one `host:port`, or to the Unix socket `unix:/path`.

    tls: a context for clients (`tls.client_context`). server_name: name in the certificate, if not the host.
    max_message_bytes: the most that an answer may have; None takes all. keepalive_s, keepalive_timeout_s: interval of
    pings to a silent peer, and time to answer them. pings: off for a server that refuses pings; it counts as lost when
    it has calls to answer and window to send, and is silent for that time. Without `keepalive_s` neither applies.
    """

    def __init__(
        self,
        address: str,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        max_message_bytes: int | None = None,
        keepalive_s: float | None = 2.0,
        keepalive_timeout_s: float = 1.0,
        pings: bool = True,
    ) -> None:
        self._address, self._path, self._tls = address, path_of(address), tls
        host, _, port = address.rpartition(":") if self._path is None else ("localhost", "", "0")
        self._host, self._port = host.strip("[]"), int(port)
        self._server_name = server_name or self._host
        # A file has no host: gRPC calls its server localhost.
        self.authority = f"{server_name}:{port}" if server_name else address if self._path is None else host
        self.max_message_bytes = max_message_bytes
        self._keepalive = (keepalive_s, keepalive_timeout_s, pings)
        self._connection: ClientConnection | None = None
        self._connecting: asyncio.Task[ClientConnection] | None = None
        self._closed = False

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    def unary_unary(self, method: str, request_serializer: Serialize, response_deserializer: Parse, **_: Any) -> Any:
        """Return what a stub calls for a method of one request and one answer."""
        return UnaryMethod(self, method, request_serializer, response_deserializer)

    def unary_stream(self, method: str, request_serializer: Serialize, response_deserializer: Parse, **_: Any) -> Any:
        """Return what a stub calls for a method of one request and a stream of answers."""
        return AnswersMethod(self, method, request_serializer, response_deserializer)

    def stream_stream(self, method: str, request_serializer: Serialize, response_deserializer: Parse, **_: Any) -> Any:
        """Return what a stub calls for a method of streams."""
        return StreamMethod(self, method, request_serializer, response_deserializer)

    async def close(self) -> None:
        """Drop the connection; what is in flight is UNAVAILABLE."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.fail("the channel was closed", wire.NO_ERROR)

    def open_connection(self) -> ClientConnection | None:
        """Return the connection if there is one that takes calls."""
        connection = self._connection
        return None if connection is None or connection.going_away else connection

    async def connection(self) -> ClientConnection:
        """Return a connection that takes calls. Raises AioRpcError with UNAVAILABLE."""
        found = self.open_connection()
        if found is not None:
            return found
        if self._closed:
            fail(grpc.StatusCode.UNAVAILABLE, "the channel is closed")
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name=f"connect to {self._address}")
            self._connecting.add_done_callback(self._connected)
        try:
            return await asyncio.shield(self._connecting)
        except (OSError, TimeoutError) as error:
            fail(grpc.StatusCode.UNAVAILABLE, f"no connection to {self._address}: {_said(error)}")

    async def _connect(self) -> ClientConnection:
        loop = asyncio.get_running_loop()
        every_s, timeout_s, pings = self._keepalive

        def made() -> ClientConnection:
            return ClientConnection(loop, Keepalive(loop, every_s=every_s, timeout_s=timeout_s, pings=pings))

        secured: Any = {"ssl": self._tls, "server_hostname": self._server_name if self._tls is not None else None}
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            if self._path is not None:
                _, connection = await loop.create_unix_connection(made, self._path, **secured)
            else:
                _, connection = await loop.create_connection(made, self._host, self._port, **secured)
        return connection

    def _connected(self, task: asyncio.Task[ClientConnection]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._connection = task.result()

    def block(self, method: str) -> bytes:
        """Return the header block of calls of a method."""
        return request_block(method, self.authority, secure=self._tls is not None)


class ClientConnection(Connection):
    """A connection that calls are made on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, keepalive: Keepalive) -> None:
        super().__init__(loop, keepalive, lambda _connection: None)
        self._next = 1

    def greeting(self) -> bytes:
        pairs = ((wire.HEADER_TABLE_SIZE, 0), (wire.ENABLE_PUSH, 0), (wire.INITIAL_WINDOW_SIZE, STREAM_WINDOW))
        return wire.PREFACE + wire.settings(pairs)

    def begin(self, stream: ClientStream, block: bytes, only: bytes | None = None) -> None:
        """Send the headers of a call. only: its one message, which leaves with them: the server is woken once.

        Raises AioRpcError when the connection is lost, or the peer allows no more.
        """
        if self.lost_by is not None:  # while the caller waited for the connection
            fail(grpc.StatusCode.UNAVAILABLE, self.lost_by)
        if len(self.streams) >= self.peer_streams:
            fail(grpc.StatusCode.RESOURCE_EXHAUSTED, f"the server takes {self.peer_streams} calls at once")
        self.streams[stream.number] = stream
        headers = wire.header_frames(0, stream.number, block, self.peer_frame)
        if only is None:
            self.transport.write(headers)
        else:
            self.send(stream, only, wire.END_STREAM, ahead=headers)

    def opened(self, number: int, headers: Headers) -> None:
        if not number % 2 or number >= self._next:
            super().opened(number, headers)
        # Else of a call that was given up here, and the server had not heard when it answered.

    def sent_away(self, last: int) -> None:
        self.give_up("the server is going away", above=last)

    def next_number(self) -> int:
        """Return the number of the next call."""
        number, self._next = self._next, self._next + 2
        if self._next > wire.MAX_WINDOW:
            self.going_away = True  # the numbers of this connection are used up
        return number


def _said(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
