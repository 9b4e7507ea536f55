"""One call on a connection, as far as both sides are alike: what it sends, what it holds, what its window allows."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.headers import Headers

if TYPE_CHECKING:
    from headrace_servicekit.http2.connection import Connection

# What a peer may send on one stream before it hears that it was taken.
STREAM_WINDOW = 1 << 24


class Stream:
    """One call; subclasses say what becomes of what comes."""

    __slots__ = ("connection", "deaf", "held", "messages", "number", "outgoing", "room", "unacknowledged", "window")

    def __init__(self, connection: Connection, number: int, most_bytes: int | None) -> None:
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
        if self.unacknowledged > STREAM_WINDOW // 2 and self.held <= STREAM_WINDOW // 2:
            self.connection.acknowledge(self)

    async def drained(self) -> None:
        """Return when all that was sent has left and the socket takes more, or when the call is over."""
        while (self.outgoing or self.connection.write_paused) and self.number in self.connection.streams:
            self.room = self.connection.loop.create_future()
            await self.room

    def wake(self) -> None:
        """Have `drained` look again."""
        if self.room is not None and not self.room.done():
            self.room.set_result(None)
