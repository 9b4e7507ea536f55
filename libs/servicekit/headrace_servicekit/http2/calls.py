"""Outgoing calls: the callables behind a generated stub, and the state of one call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import grpc
import grpc.aio

from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.headers import Headers, metadata_of, status_of, timeout_field
from headrace_servicekit.http2.stream import Stream, StreamConnection

# An error takes some microseconds to make, and almost no call needs one.
_ENDED_WELL = grpc.aio.AioRpcError(grpc.StatusCode.OK, grpc.aio.Metadata(), grpc.aio.Metadata())

Serialize = Callable[[Any], bytes]
Parse = Callable[[bytes], Any]

END_OF_STREAM: Any = getattr(grpc.aio, "EOF")  # noqa: B009 - missing in the type stubs
# What a reset says of a call, as gRPC over HTTP/2 maps it.
_OF_RESET = {
    wire.REFUSED_STREAM: grpc.StatusCode.UNAVAILABLE,
    wire.CANCEL: grpc.StatusCode.CANCELLED,
    wire.ENHANCE_YOUR_CALM: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class CallingConnection(StreamConnection, Protocol):
    """What a call asks of the connection that it is made on."""

    def next_number(self) -> int:
        """Return the number of the next call."""
        ...

    def begin(self, stream: ClientStream, block: bytes, only: bytes | None = None) -> None:
        """Send the headers of a call, and its one message where there is one."""
        ...


class CallChannel(Protocol):
    """What a method asks of the channel that it is called on."""

    max_message_bytes: int | None

    def block(self, method: str) -> bytes:
        """Return the headers of a method."""
        ...

    def open_connection(self) -> CallingConnection | None:
        """Return the connection that is open, if one is."""
        ...

    async def connection(self) -> CallingConnection:
        """Return a connection that is open. Raises AioRpcError."""
        ...


class UnaryMethod:
    """A method of one request and one answer."""

    __slots__ = ("_block", "_channel", "_parse", "_serialize")

    def __init__(self, channel: CallChannel, method: str, serialize: Serialize, parse: Parse) -> None:
        self._channel, self._serialize, self._parse = channel, serialize, parse
        self._block = channel.block(method)

    async def __call__(self, request: Any, *, timeout: float) -> Any:
        """Return the answer. timeout: in seconds. Raises AioRpcError."""
        channel = self._channel
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        try:
            connection = channel.open_connection()
            if connection is None:
                async with asyncio.timeout(timeout):
                    connection = await channel.connection()
        except TimeoutError:
            fail(grpc.StatusCode.DEADLINE_EXCEEDED, "no connection within the call's time")
        stream = ClientStream(connection, channel.max_message_bytes)
        connection.begin(stream, self._block + timeout_field(timeout), wire.message(self._serialize(request)))
        timer = loop.call_at(deadline, stream.cancel, grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        try:
            return _read(self._parse, await stream.only())
        finally:
            timer.cancel()
            stream.cancel()


class StreamMethod:
    """A method of two streams."""

    __slots__ = ("_block", "_channel", "_parse", "_serialize")

    def __init__(self, channel: CallChannel, method: str, serialize: Serialize, parse: Parse) -> None:
        self._channel, self._serialize, self._parse = channel, serialize, parse
        self._block = channel.block(method)

    def __call__(self) -> StreamCall:
        """Begin a call; it lasts until it is cancelled or the server ends it."""
        return StreamCall(self._channel, self._block, self._serialize, self._parse)


class AnswersMethod:
    """A method of one request and a stream of answers."""

    __slots__ = ("_block", "_channel", "_parse", "_serialize")

    def __init__(self, channel: CallChannel, method: str, serialize: Serialize, parse: Parse) -> None:
        self._channel, self._serialize, self._parse = channel, serialize, parse
        self._block = channel.block(method)

    def __call__(self, request: Any) -> StreamCall:
        """Begin a call, of which answers are read until it is cancelled or the server ends it."""
        only = wire.message(self._serialize(request))
        return StreamCall(self._channel, self._block, self._serialize, self._parse, only)


class StreamCall:
    """A call of two streams. Opens with the first read or write. only: its one request, where others may not follow."""

    def __init__(
        self, channel: CallChannel, block: bytes, serialize: Serialize, parse: Parse, only: bytes | None = None
    ) -> None:
        self._channel, self._block, self._serialize, self._parse = channel, block, serialize, parse
        self._only = only
        self._stream: ClientStream | None = None
        self._cancelled = False

    async def write(self, message: Any) -> None:
        """Send a message; return when the peer's windows and the socket have room for more. Raises AioRpcError."""
        stream = self._stream or await self._opened()
        if stream.done:
            stream.raise_if_failed()
            raise asyncio.InvalidStateError("the call has ended")
        stream.send(wire.message(self._serialize(message)))
        if stream.outgoing or stream.connection.write_paused:
            await stream.drained()
            stream.raise_if_failed()

    async def read(self) -> Any:
        """Return the next message, or END_OF_STREAM. Raises AioRpcError."""
        stream = self._stream or await self._opened()
        message = await stream.read()
        return END_OF_STREAM if message is None else _read(self._parse, message)

    def cancel(self) -> None:
        """Give the call up."""
        self._cancelled = True
        if self._stream is not None:
            self._stream.cancel()

    async def _opened(self) -> ClientStream:
        connection = await self._channel.connection()
        if self._cancelled:
            fail(grpc.StatusCode.CANCELLED, "the caller cancelled")
        if self._stream is None:
            stream = ClientStream(connection, self._channel.max_message_bytes)
            connection.begin(stream, self._block, self._only)
            self._stream = stream
        return self._stream


class ClientStream(Stream):
    """One call. Keeps the messages that came until they are read."""

    __slots__ = ("_arrived", "_ended", "_waiting", "_whole")

    def __init__(self, connection: CallingConnection, most_bytes: int | None) -> None:
        super().__init__(connection, connection.next_number(), most_bytes)
        self._arrived: deque[bytes] = deque()
        self._ended: grpc.aio.AioRpcError | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._whole = False

    async def read(self) -> bytes | None:
        """Return the next message, or None at the end. Raises AioRpcError when the call failed."""
        while not self._arrived:
            if self._ended is not None:
                if self._ended is _ENDED_WELL:
                    return None
                raise self._ended
            self._waiting = self.connection.loop.create_future()
            await self._waiting
        message = self._arrived.popleft()
        self.taken(len(message))
        return message

    async def only(self) -> bytes:
        """Return the one message of a call that has ended well. Raises AioRpcError."""
        self._whole = True
        if self._ended is None:
            self._waiting = self.connection.loop.create_future()
            await self._waiting
        self.raise_if_failed()
        if len(self._arrived) != 1:
            fail(grpc.StatusCode.INTERNAL, f"the server answered {len(self._arrived)} messages instead of one")
        return self._arrived[0]

    @property
    def done(self) -> bool:
        """Return whether the call has ended."""
        return self._ended is not None

    def raise_if_failed(self) -> None:
        """Raise AioRpcError if the call has ended with another status than OK."""
        if self._ended is not None and self._ended is not _ENDED_WELL:
            raise self._ended

    def cancel(self, code: grpc.StatusCode = grpc.StatusCode.CANCELLED, details: str = "the caller cancelled") -> None:
        """Give the call up."""
        if self._ended is None:
            self.connection.forget(self, reset=wire.CANCEL)
            self._finish(code, details)

    def headers(self, headers: Headers, *, last: bool) -> None:
        if last:
            self.connection.forget(self)
            code, details = status_of(headers)
            self._finish(code, details, headers)
        elif (":status", "200") not in headers:
            self.cancel(*status_of(headers))

    def data(self, messages: list[bytes], *, last: bool) -> None:
        if messages:
            self._arrived += messages
            self.held += sum(map(len, messages))
        if last:
            self.connection.forget(self)
            self._finish(grpc.StatusCode.UNKNOWN, "the server ended the call without a status")
        elif messages and not self._whole:
            self._wake()

    def broken(self, error: wire.MessageError) -> None:
        too_large = isinstance(error, wire.MessageTooLarge)
        self.cancel(grpc.StatusCode.RESOURCE_EXHAUSTED if too_large else grpc.StatusCode.INTERNAL, str(error))

    def reset(self, code: int) -> None:
        self._finish(_OF_RESET.get(code, grpc.StatusCode.INTERNAL), f"the server reset the call (HTTP/2 code {code})")

    def gone(self, reason: str) -> None:
        self._finish(grpc.StatusCode.UNAVAILABLE, reason)

    def _finish(self, code: grpc.StatusCode, details: str, headers: Headers | None = None) -> None:
        if self._ended is None and code is grpc.StatusCode.OK:
            self._ended = _ENDED_WELL
        elif self._ended is None:
            trailers = grpc.aio.Metadata() if headers is None else grpc.aio.Metadata(*metadata_of(headers))
            self._ended = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details=details)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _read(parse: Parse, message: bytes) -> Any:
    """Return a message. Raises AioRpcError when it is none: a peer's bytes end its call, as a lost connection does."""
    try:
        return parse(message)
    except Exception as error:  # whatever a parser raises
        # Not INTERNAL, as gRPC has it: that would be an answer about the request, and this is none.
        fail(grpc.StatusCode.UNAVAILABLE, f"the server sent a message that cannot be read ({type(error).__name__})")


def fail(code: grpc.StatusCode, details: str) -> NoReturn:
    """Raise what a failed call raises."""
    raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)
