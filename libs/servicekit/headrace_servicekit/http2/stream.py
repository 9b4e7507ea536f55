"""One call on a connection, as far as both sides are alike: what it sends, what it holds, what its window allows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.headers import Headers

# What a peer may send on one stream before it hears that it was taken.
STREAM_WINDOW = 1 << 24


class StreamConnection(Protocol):
    """What a call asks of the connection that it is on."""

    loop: asyncio.AbstractEventLoop
    peer_stream_window: int
    write_paused: bool
    transport: Any

    @property
    def streams(self) -> Mapping[int, Stream]:
        """Return the calls that go on, by number."""
        ...

    def send(self, stream: Stream, data: bytes, flags: int) -> None:
        """Send bytes as DATA of a call, now or as soon as the peer has room."""
        ...

    def acknowledge(self, stream: Stream) -> None:
        """Let the peer send more on a call."""
        ...

    def forget(self, stream: Stream, *, reset: int | None = None) -> None:
        """End a call; with a code of HTTP/2 where the peer has to hear of it."""
        ...


class Stream:
    """One call; subclasses say what becomes of what comes."""

    __slots__ = ("connection", "deaf", "held", "messages", "number", "outgoing", "room", "unacknowledged", "window")

    def __init__(self, connection: StreamConnection, number: int, most_bytes: int | None) -> None:
        self.connection, self.number = connection, number
        self.messages = wire.Messages(most_bytes)
        self.window = connection.peer_stream_window
        self.outgoing: deque[tuple[memoryview, int]] = deque()
        """What the windows do not let out yet, with the flags of its last frame."""
        self.room: asyncio.Future[None] | None = None
        self.unacknowledged = 0
        self.deaf = False
        """Whether what comes is not looked at any more."""
        self.held = 0
        """Bytes of messages that nobody has taken yet; with many of them, the peer is not told to send more."""

    def headers(self, headers: Headers, *, last: bool) -> None:
        """Take headers, or trailers."""
        raise NotImplementedError

    def data(self, messages: list[bytes], *, last: bool) -> None:
        """Take complete messages."""
        raise NotImplementedError

    def broken(self, error: wire.MessageError) -> None:
        """Learn that what the peer sends cannot be read; nothing more is taken of it."""
        raise NotImplementedError

    def reset(self, code: int) -> None:
        """Learn that the peer gave the call up, with HTTP/2's code."""
        raise NotImplementedError

    def gone(self, reason: str) -> None:
        """Learn that the connection is lost, or that the peer never took the call."""
        raise NotImplementedError

    def send(self, data: bytes, flags: int = 0) -> None:
        """Send bytes as DATA, now or as soon as the peer has room."""
        self.connection.send(self, data, flags)

    def taken(self, size: int) -> None:
        """Note that bytes which were held have been taken."""
        self.held -= size
        if self.unacknowledged > STREAM_WINDOW // 2 and not self.held_back:
            self.connection.acknowledge(self)

    @property
    def held_back(self) -> bool:
        """Return whether the peer may be silent because so much of what it sent was not taken yet."""
        return self.held > STREAM_WINDOW // 2

    async def drained(self) -> None:
        """Return when all that was sent has left and the socket takes more, or when the call is over."""
        while (self.outgoing or self.connection.write_paused) and self.number in self.connection.streams:
            self.room = self.connection.loop.create_future()
            await self.room

    def wake(self) -> None:
        """Have `drained` look again."""
        if self.room is not None and not self.room.done():
            self.room.set_result(None)
