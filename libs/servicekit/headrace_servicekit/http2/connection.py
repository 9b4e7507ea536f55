"""One HTTP/2 connection: frames in and out, and windows. Which calls there are is for the client or the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.headers import MAX_BLOCK_BYTES, BlockReader, Headers
from headrace_servicekit.http2.keepalive import Keepalive
from headrace_servicekit.http2.stream import STREAM_WINDOW, Stream
from headrace_servicekit.http2.wire import WireError

# What a peer may send on all streams before it hears that it was taken.
CONNECTION_WINDOW = 1 << 26
# Answers to pings and settings that may wait for a peer which reads nothing.
_MOST_UNREAD_REPLIES = 1000


class Connection(asyncio.Protocol):
    """Reads frames and hands what is in them to streams."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, keepalive: Keepalive, lost: Callable[[Connection], object]
    ) -> None:
        self.loop = loop
        self._keepalive = keepalive
        self.streams: dict[int, Stream] = {}
        self.transport: Any = None
        self.write_paused = False
        self.peer_stream_window = self.window = wire.DEFAULT_WINDOW
        self.peer_frame = wire.DEFAULT_MAX_FRAME
        self.peer_streams = 2**31
        self.going_away = False
        """Whether either side wants no new calls."""
        self.heard = 0
        """Times that something was read; who waits for a sign of life compares."""
        self._lost = lost
        self._reader = BlockReader()
        self._rest = b""
        self._block: tuple[int, int, list[bytes]] | None = None
        self._unacknowledged = 0
        self._blocked: dict[int, Stream] = {}
        self._unread_replies = 0
        self._closed = False

    def greeting(self) -> bytes:
        """Return what this side says first."""
        raise NotImplementedError

    def opened(self, number: int, headers: Headers) -> Stream | None:
        """Return the stream that the peer begins."""
        raise WireError(f"headers for stream {number}, which is not open")

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.greeting() + wire.window_update(0, CONNECTION_WINDOW - wire.DEFAULT_WINDOW))
        self._keepalive.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the connection was lost: {exc}" if exc else "the peer closed the connection")

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused, self._unread_replies = False, 0
        for stream in list(self.streams.values()):
            stream.wake()

    def data_received(self, data: bytes) -> None:
        self.heard += 1
        if self._rest:
            data = self._rest + data
        try:
            self._rest = data[self._read(data) :]
        except WireError as error:
            self.fail(str(error), error.code)

    def send(self, stream: Stream, data: bytes, flags: int) -> None:
        """Send DATA of a stream, or keep what the windows do not let out."""
        size = len(data)
        if stream.outgoing or size > stream.window or size > self.window or size > self.peer_frame:
            stream.outgoing.append((memoryview(data), flags))
            self._push(stream)
            return
        stream.window -= size
        self.window -= size
        self.transport.write(wire.frame(wire.DATA, flags, stream.number, data))

    def forget(self, stream: Stream, reset: int | None = None) -> None:
        """Take a stream off. reset: what the peer is told, if it may still send."""
        if self.streams.pop(stream.number, None) is None:
            return
        stream.outgoing.clear()
        stream.wake()
        if reset is not None and self.transport is not None and not self.transport.is_closing():
            self.transport.write(wire.frame(wire.RST_STREAM, 0, stream.number, reset.to_bytes(4, "big")))

    def fail(self, reason: str, code: int) -> None:
        """Tell the peer why, and close."""
        if self.transport is not None and not self.transport.is_closing():
            last = max(self.streams, default=0).to_bytes(4, "big")
            self.transport.write(wire.frame(wire.GOAWAY, 0, 0, last + code.to_bytes(4, "big") + reason.encode()[:200]))
            self.transport.close()
        self._end(reason)

    def abort(self, reason: str) -> None:
        """Drop the connection without a word: the peer does not listen."""
        if self.transport is not None:
            self.transport.abort()
        self._end(reason)

    def _end(self, reason: str, above: int = -1) -> None:
        """Give up the streams with numbers above; with all of them gone, the connection."""
        for stream in [one for number, one in self.streams.items() if number > above]:
            del self.streams[stream.number]
            stream.outgoing.clear()
            stream.wake()
            stream.gone(reason, refused=above >= 0)
        if above < 0 and not self._closed:
            self._closed = self.going_away = True
            self._keepalive.stop()
            self._lost(self)

    def _read(self, data: bytes) -> int:
        """Take the whole frames of what has come; return where the first that is not whole begins."""
        at, size, unpack, streams = 0, len(data), wire.HEAD.unpack_from, self.streams
        while size - at >= wire.HEAD_BYTES:
            high, low, kind, flags, number = unpack(data, at)
            begin = at + wire.HEAD_BYTES
            length = high << 8 | low
            if length > wire.DEFAULT_MAX_FRAME:
                raise WireError(f"a frame of {length} bytes", wire.FRAME_SIZE_ERROR)
            end = begin + length
            if end > size:
                break
            if self._block is not None and kind != wire.CONTINUATION:
                raise WireError("a header block is interrupted")
            if kind == wire.DATA:
                self._take_data(streams.get(number), data[begin:end], flags, length, number)
            elif kind == wire.HEADERS or kind == wire.CONTINUATION:
                self._take_block(kind, number, flags, data[begin:end])
            else:
                self._control(kind, flags, number, data[begin:end])
            if self._closed:
                return size
            at = end
        return at

    def _take_data(self, stream: Stream | None, payload: bytes, flags: int, length: int, number: int) -> None:
        self._unacknowledged += length
        if self._unacknowledged > CONNECTION_WINDOW // 2:
            self.transport.write(wire.window_update(0, self._unacknowledged))
            self._unacknowledged = 0
        if stream is None:  # it was given up here, and the peer has not heard yet
            if number == 0:
                raise WireError("DATA without a stream")
            return
        last = bool(flags & wire.END_STREAM)
        stream.unacknowledged += length
        if stream.unacknowledged > STREAM_WINDOW:
            raise WireError("more DATA than the window allows", wire.FLOW_CONTROL_ERROR)
        if stream.unacknowledged > STREAM_WINDOW // 2 and stream.held <= STREAM_WINDOW // 2 and not last:
            self.acknowledge(stream)
        if flags & wire.PADDED:
            payload = wire.unpadded(payload, flags, priority=False)
        try:
            messages = stream.messages.feed(payload) if payload else []
        except wire.MessageError as error:
            stream.broken(error)
            return
        stream.data(messages, last=last)

    def acknowledge(self, stream: Stream) -> None:
        """Let the peer send as much again as it has."""
        if self.streams.get(stream.number) is not stream:
            return
        self.transport.write(wire.window_update(stream.number, stream.unacknowledged))
        stream.unacknowledged = 0

    def _take_block(self, kind: int, number: int, flags: int, payload: bytes) -> None:
        if kind == wire.HEADERS:
            if flags & (wire.PADDED | wire.PRIORITY):
                payload = wire.unpadded(payload, flags, priority=True)
            first, parts = flags, [payload]
        elif self._block is None or self._block[0] != number:
            raise WireError("a CONTINUATION of nothing")
        else:
            _, first, parts = self._block
            parts.append(payload)
        if not flags & wire.END_HEADERS:
            if sum(map(len, parts)) > MAX_BLOCK_BYTES or len(parts) > 64:
                raise WireError("too many headers", wire.ENHANCE_YOUR_CALM)
            self._block = (number, first, parts)
            return
        self._block = None
        headers = self._reader.read(parts[0] if len(parts) == 1 else b"".join(parts))
        stream = self.streams.get(number) or self.opened(number, headers)
        if stream is not None:
            stream.headers(headers, last=bool(first & wire.END_STREAM))

    def _control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == wire.WINDOW_UPDATE:
            self._widen(number, wire.number(payload, "WINDOW_UPDATE"))
        elif kind == wire.PING:
            if not flags & wire.ACK:
                self._reply(wire.frame(wire.PING, wire.ACK, 0, payload[:8]))
        elif kind == wire.SETTINGS:
            if not flags & wire.ACK:
                self._take_settings(payload)
                self._reply(wire.frame(wire.SETTINGS, wire.ACK, 0))
        elif kind == wire.RST_STREAM:
            stream = self.streams.get(number)
            if stream is not None:
                self.forget(stream)
                stream.reset(wire.number(payload, "RST_STREAM"))
        elif kind == wire.GOAWAY:
            if len(payload) < 8:
                raise WireError("a GOAWAY frame is too short", wire.FRAME_SIZE_ERROR)
            self.going_away = True
            self._end("the peer is going away", above=wire.number(payload[:4], "GOAWAY"))
        elif kind == wire.PUSH_PROMISE:
            raise WireError("a push, which was not allowed")

    def _reply(self, data: bytes) -> None:
        if self.write_paused:
            self._unread_replies += 1
            if self._unread_replies > _MOST_UNREAD_REPLIES:
                raise WireError("pings without reading the answers", wire.ENHANCE_YOUR_CALM)
        self.transport.write(data)

    def _take_settings(self, payload: bytes) -> None:
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

    def _widen(self, number: int, more: int) -> None:
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
