"""One HTTP/2 connection: reads frames and hands them to streams. Which those are is for the client or the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from headrace_servicekit.http2 import wire
from headrace_servicekit.http2.headers import MAX_BLOCK_BYTES, BlockReader, Headers
from headrace_servicekit.http2.keepalive import Keepalive
from headrace_servicekit.http2.stream import STREAM_WINDOW, Sending, Stream
from headrace_servicekit.http2.wire import WireError

# What a peer may send on all streams before it hears that it was taken.
CONNECTION_WINDOW = 1 << 26
_FAREWELL_S = 1.0


class Connection(Sending):
    """Reads frames and hands what is in them to streams."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, keepalive: Keepalive, lost: Callable[[Connection], object]
    ) -> None:
        super().__init__(loop)
        self._keepalive = keepalive
        self.going_away = False
        """Whether either side wants no new calls."""
        self.heard = 0
        """Times that something was read; who waits for a sign of life compares."""
        self._lost = lost
        self._reader = BlockReader()
        self._rest = b""
        self._block: tuple[int, int, list[bytes]] | None = None
        self._unacknowledged = 0
        self.lost_by: str | None = None
        """Why there is no connection any more."""

    @property
    def awaited(self) -> bool:
        """Return whether there is a call that the peer could say something about: it is not us who hold it up."""
        return any(not stream.held_back for stream in self.streams.values())

    def greeting(self) -> bytes:
        """Return what this side says first."""
        raise NotImplementedError

    def opened(self, number: int, headers: Headers) -> Stream | None:
        """Return the stream that the peer begins."""
        raise WireError(f"headers for stream {number}, which is not open")

    def sent_away(self, last: int) -> None:
        """Learn that the peer wants no new calls; `last`: the newest of ours that it has taken."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.greeting() + wire.window_update(0, CONNECTION_WINDOW - wire.DEFAULT_WINDOW))
        self._keepalive.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the connection was lost: {exc}" if exc else "the peer closed the connection")

    def data_received(self, data: bytes) -> None:
        self.heard += 1
        if self._rest:
            data = self._rest + data
        try:
            self._rest = data[self._read(data) :]
        except WireError as error:
            self.fail(str(error), error.code)

    def fail(self, reason: str, code: int) -> None:
        """Tell the peer why, and close."""
        if self.transport is not None and not self.transport.is_closing():
            last = max(self.streams, default=0).to_bytes(4, "big")
            self.transport.write(wire.frame(wire.GOAWAY, 0, 0, last + code.to_bytes(4, "big") + reason.encode()[:200]))
            self.transport.close()
            self.loop.call_later(_FAREWELL_S, self.transport.abort)  # a peer that reads nothing is not waited for
        self._end(reason)

    def abort(self, reason: str) -> None:
        """Drop the connection without a word: the peer does not listen."""
        if self.transport is not None:
            self.transport.abort()
        self._end(reason)

    def give_up(self, reason: str, *, above: int = -1) -> None:
        """Tell the streams with numbers above that they are lost."""
        for stream in [one for number, one in self.streams.items() if number > above]:
            del self.streams[stream.number]
            stream.outgoing.clear()
            stream.wake()
            stream.gone(reason)

    def _end(self, reason: str) -> None:
        """Give up all."""
        self.give_up(reason)
        if self.lost_by is None:
            self.lost_by, self.going_away = reason, True
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
            if self.lost_by is not None:
                return size
            at = end
        return at

    def _take_data(self, stream: Stream | None, payload: bytes, flags: int, length: int, number: int) -> None:
        self._unacknowledged += length
        if self._unacknowledged > CONNECTION_WINDOW // 2:
            self.transport.write(wire.window_update(0, self._unacknowledged))
            self._unacknowledged = 0
        if number == 0:
            raise WireError("DATA without a stream")
        if stream is None or stream.deaf:  # it was given up here, and the peer has not heard yet
            return
        last = bool(flags & wire.END_STREAM)
        stream.unacknowledged += length
        if stream.unacknowledged > STREAM_WINDOW:
            raise WireError("more DATA than the window allows", wire.FLOW_CONTROL_ERROR)
        if stream.unacknowledged > STREAM_WINDOW // 2 and not stream.held_back and not last:
            self.acknowledge(stream)
        if flags & wire.PADDED:
            payload = wire.unpadded(payload, flags, priority=False)
        try:
            messages = stream.messages.feed(payload) if payload else []
        except wire.MessageError as error:
            stream.deaf = True
            stream.broken(error)
            return
        stream.data(messages, last=last)

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
            self.widen(number, wire.number(payload, "WINDOW_UPDATE"))
        elif kind == wire.PING:
            if not flags & wire.ACK:
                self.reply(wire.frame(wire.PING, wire.ACK, 0, payload[:8]))
        elif kind == wire.SETTINGS:
            if not flags & wire.ACK:
                # Before anything that only the new ones allow: a peer may be strict until it has heard.
                self.reply(wire.frame(wire.SETTINGS, wire.ACK, 0))
                self.take_settings(payload)
        elif kind == wire.RST_STREAM:
            code, stream = wire.number(payload, "RST_STREAM"), self.streams.get(number)
            if stream is not None:
                self.forget(stream)
                stream.reset(code)
        elif kind == wire.GOAWAY:
            if len(payload) < 8:
                raise WireError("a GOAWAY frame is too short", wire.FRAME_SIZE_ERROR)
            self.going_away = True
            self.sent_away(wire.number(payload[:4], "GOAWAY"))
        elif kind == wire.PUSH_PROMISE:
            raise WireError("a push, which was not allowed")
