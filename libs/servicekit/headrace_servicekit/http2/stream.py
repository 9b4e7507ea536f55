"""Calls on a connection, as far as both sides are alike: what they send and hold, what the peer's windows let out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.headers import Headers
from headrace_servicekit.http2.wire import WireError

# What a peer may send on one stream before it hears that it was taken.
STREAM_WINDOW = 1 << 24
# Answers to pings and settings that may wait for a peer which reads nothing.
_MOST_UNREAD_REPLIES = 1000


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
        """Bytes of messages that the application has not read; with many of them, the flow-control window stays
        closed."""

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


class Sending(asyncio.Protocol):
    """The sending half of a connection: sends the data of streams. `peer_*` is what the peer allows."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.streams: dict[int, Stream] = {}
        self.transport: Any = None
        self.write_paused = False
        self.window = self.peer_stream_window = wire.DEFAULT_WINDOW
        self.peer_frame = wire.DEFAULT_MAX_FRAME
        self.peer_streams = 2**31
        self._blocked: dict[int, Stream] = {}
        self._unread_replies = 0

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused, self._unread_replies = False, 0
        for stream in list(self.streams.values()):
            stream.wake()

    def send(self, stream: Stream, data: bytes, flags: int, *, ahead: bytes = b"") -> None:
        """Send DATA of a stream, or keep what the windows do not let out. ahead: frames that leave before it."""
        size = len(data)
        if stream.outgoing or size > stream.window or size > self.window or size > self.peer_frame:
            if ahead:
                self.transport.write(ahead)
            stream.outgoing.append((memoryview(data), flags))
            self._push(stream)
            return
        stream.window -= size
        self.window -= size
        self.transport.write(ahead + wire.frame(wire.DATA, flags, stream.number, data))

    def forget(self, stream: Stream, reset: int | None = None) -> None:
        """Remove a stream. reset: error code sent to the peer, if it may still send."""
        if self.streams.pop(stream.number, None) is None:
            return
        stream.outgoing.clear()
        stream.wake()
        if reset is not None and self.transport is not None and not self.transport.is_closing():
            self.transport.write(wire.frame(wire.RST_STREAM, 0, stream.number, reset.to_bytes(4, "big")))

    def acknowledge(self, stream: Stream) -> None:
        """Let the peer send as much again as it has."""
        if self.streams.get(stream.number) is not stream:
            return
        self.transport.write(wire.window_update(stream.number, stream.unacknowledged))
        stream.unacknowledged = 0

    def reply(self, data: bytes) -> None:
        """Answer a ping or settings. Raises WireError when too many of these answers are not read."""
        if self.write_paused:
            self._unread_replies += 1
            if self._unread_replies > _MOST_UNREAD_REPLIES:
                raise WireError("pings without reading the answers", wire.ENHANCE_YOUR_CALM)
        self.transport.write(data)

    def take_settings(self, payload: bytes) -> None:
        """Keep to what the peer asks for. Raises WireError."""
        for name, value in wire.read_settings(payload):
            if name == wire.INITIAL_WINDOW_SIZE:
                if value > wire.MAX_WINDOW:
                    raise WireError("a window that is too large", wire.FLOW_CONTROL_ERROR)
                more, self.peer_stream_window = value - self.peer_stream_window, value
                for stream in list(self.streams.values()):
                    stream.window += more
                    self._push(stream)
            elif name == wire.MAX_FRAME_SIZE:
                if not wire.DEFAULT_MAX_FRAME <= value < 2**24:
                    raise WireError(f"frames of {value} bytes cannot be agreed on")
                self.peer_frame = value
            elif name == wire.MAX_CONCURRENT_STREAMS:
                self.peer_streams = value

    def widen(self, number: int, more: int) -> None:
        """Send on: the peer has taken so much of a stream, or (0) of the connection. Raises WireError."""
        if number == 0:
            self.window += more
            if self.window > wire.MAX_WINDOW:
                raise WireError("a window that is too large", wire.FLOW_CONTROL_ERROR)
            blocked, self._blocked = self._blocked, {}
            for stream in blocked.values():
                if self.streams.get(stream.number) is stream:
                    self._push(stream)
            return
        stream = self.streams.get(number)
        if stream is not None:
            stream.window += more
            if stream.window > wire.MAX_WINDOW:
                raise WireError("a window that is too large", wire.FLOW_CONTROL_ERROR)
            self._push(stream)

    def _push(self, stream: Stream) -> None:
        """Send what waits, as far as the windows allow."""
        outgoing = stream.outgoing
        while outgoing:
            data, flags = outgoing[0]
            room = min(stream.window, self.window, self.peer_frame)
            if room <= 0 and data:
                if self.window <= 0:
                    self._blocked[stream.number] = stream
                return
            part, rest = data[:room], data[room:]
            stream.window -= len(part)
            self.window -= len(part)
            self.transport.write(wire.frame(wire.DATA, 0 if rest else flags, stream.number, part))
            if rest:
                outgoing[0] = (rest, flags)
            else:
                outgoing.popleft()
        stream.wake()
