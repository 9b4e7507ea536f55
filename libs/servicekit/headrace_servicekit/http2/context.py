"""What a handler is given: its caller's messages, and the context that it talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, NoReturn, Protocol

import grpc
import grpc.aio

from headrace_servicekit.http2.calls import END_OF_STREAM
from headrace_servicekit.http2.headers import Metadata
from headrace_servicekit.http2.stream import StreamConnection


class ServedStream(Protocol):
    """What a handler's context asks of the call that is served."""

    @property
    def connection(self) -> StreamConnection:
        """Return the connection that the call came on."""
        ...

    async def next_message(self) -> bytes | None:
        """Return the caller's next message, or None when it sends no more."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a message; return when there is room for more."""
        ...


class Requests:
    """The caller's messages, for `async for`."""

    __slots__ = ("_parse", "_stream")

    def __init__(self, stream: ServedStream, parse: Callable[[bytes], Any] | None) -> None:
        self._stream, self._parse = stream, parse

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        message = await self._stream.next_message()
        if message is None:
            raise StopAsyncIteration
        return message if self._parse is None else self._parse(message)


class Context:
    """What a handler knows of its call, and says about it: the part of grpc.aio.ServicerContext that is used."""

    __slots__ = ("_code", "_deadline", "_details", "_metadata", "_stream", "_trailers", "requests", "serialize")

    def __init__(self, stream: ServedStream, metadata: Metadata, deadline: float | None) -> None:
        self._stream, self._metadata, self._deadline = stream, metadata, deadline
        self._code: Any = None
        self._details = ""
        self._trailers: Sequence[tuple[str, Any]] = ()
        self.serialize: Callable[[Any], bytes] | None = None
        self.requests: Requests | None = None

    def invocation_metadata(self) -> Metadata:
        """Return the caller's headers."""
        return self._metadata

    def peer(self) -> str:
        """Return the caller's address as gRPC writes it."""
        name = self._stream.connection.transport.get_extra_info("peername")
        if not name:
            return "unknown"
        return f"ipv6:[{name[0]}]:{name[1]}" if ":" in name[0] else f"ipv4:{name[0]}:{name[1]}"

    def auth_context(self) -> dict[str, list[bytes]]:
        """Return what the caller's certificate says, in gRPC's words: the names in it."""
        shown = self._stream.connection.transport.get_extra_info("peercert") or {}
        return {"x509_subject_alternative_name": [name.encode() for _, name in shown.get("subjectAltName", ())]}

    def time_remaining(self) -> float | None:
        """Return the seconds until the caller's deadline, or None when it set none."""
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - self._stream.connection.loop.time())

    def code(self) -> Any:
        """Return the status that was set, if one was."""
        return self._code

    def details(self) -> str:
        """Return the message that was set."""
        return self._details

    def trailing_metadata(self) -> Sequence[tuple[str, Any]]:
        """Return the trailers that were set."""
        return self._trailers

    def set_code(self, code: Any) -> None:
        """Have the call end with this status."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Have the call end with this message."""
        self._details = details

    def set_trailing_metadata(self, trailers: Iterable[tuple[str, Any]]) -> None:
        """Have the call end with these trailers."""
        self._trailers = tuple(trailers)

    def end(self, code: grpc.StatusCode, details: str) -> None:
        """Have the call end with a status."""
        self._code, self._details = code, details

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Iterable[tuple[str, Any]] = ()
    ) -> NoReturn:
        """End the call with a status: raises AbortError."""
        self.end(code, details)
        self.set_trailing_metadata(trailing_metadata)
        raise grpc.aio.AbortError

    async def read(self) -> Any:
        """Return the caller's next message, or grpc.aio.EOF."""
        if self.requests is None:
            raise TypeError("the method takes one request")
        try:
            return await anext(self.requests)
        except StopAsyncIteration:
            return END_OF_STREAM

    async def write(self, message: Any) -> None:
        """Send a message; return when there is room for more."""
        await self._stream.write(message if self.serialize is None else self.serialize(message))
