"""Frames of HTTP/2 (RFC 9113) and messages of gRPC as bytes. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">HBBBI")
"""Length in two parts (16 and 8 bits), type, flags, stream."""
HEAD_BYTES = 9

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, REFUSED_STREAM = 0, 1, 3, 6, 7
CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 8, 9, 11

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 3, 4, 5

DEFAULT_WINDOW = 65_535
DEFAULT_MAX_FRAME = 16_384
MAX_WINDOW = 2**31 - 1

MESSAGE_HEAD_BYTES = 5
"""Of a gRPC message: whether it is compressed, and its length in four bytes."""


class WireError(Exception):
    """The peer broke the protocol. code: HTTP/2 error code, sent to the peer in a GOAWAY."""

    def __init__(self, message: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes | memoryview = b"") -> bytes:
    """Return one frame; the payload must fit into what the peer takes."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def header_frames(flags: int, stream: int, block: bytes, most: int) -> bytes:
    """Return a header block as one frame, or as several where it is larger than the peer takes in one."""
    if len(block) <= most:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    parts = [block[at : at + most] for at in range(0, len(block), most)]
    frames = [frame(HEADERS, flags, stream, parts[0])]
    frames += [frame(CONTINUATION, 0, stream, part) for part in parts[1:-1]]
    frames.append(frame(CONTINUATION, END_HEADERS, stream, parts[-1]))
    return b"".join(frames)


def settings(pairs: Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", name, value) for name, value in pairs))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Return what a SETTINGS frame says. Raises WireError."""
    if len(payload) % 6:
        raise WireError("a SETTINGS frame ends within a setting", FRAME_SIZE_ERROR)
    return list(struct.iter_unpack(">HI", payload))


def window_update(stream: int, more: int) -> bytes:
    """Return a WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, more.to_bytes(4, "big"))


def number(payload: bytes, what: str) -> int:
    """Return the number of 31 bits that a payload is. Raises WireError."""
    if len(payload) != 4:
        raise WireError(f"a {what} frame has {len(payload)} bytes", FRAME_SIZE_ERROR)
    return int.from_bytes(payload, "big") & 0x7FFFFFFF


def unpadded(payload: bytes, flags: int, priority: bool) -> bytes:
    """Return a payload of DATA or HEADERS without padding and priority. Raises WireError."""
    begin, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise WireError("a padded frame is empty", FRAME_SIZE_ERROR)
        begin, end = 1, end - payload[0]
    if priority and flags & PRIORITY:
        begin += 5
    if begin > end:
        raise WireError("a frame has more padding than bytes")
    return payload[begin:end]


def message(body: bytes) -> bytes:
    """Return a gRPC message, uncompressed, as it is sent."""
    return b"\0" + len(body).to_bytes(4, "big") + body


class Messages:
    """Puts the gRPC messages of one stream together from the parts that come."""

    __slots__ = ("_most", "_parts", "_waiting", "_wanted")

    def __init__(self, most: int | None) -> None:
        """Take messages of at most `most` bytes; None: of any size."""
        self._most = most
        self._parts: list[bytes] = []
        self._waiting = 0
        self._wanted = MESSAGE_HEAD_BYTES

    def feed(self, part: bytes) -> list[bytes]:
        """Return the messages that are complete now. Raises MessageError."""
        if not self._waiting and len(part) >= MESSAGE_HEAD_BYTES:
            size = self._size(part)
            if len(part) == MESSAGE_HEAD_BYTES + size:  # nearly always
                return [part[MESSAGE_HEAD_BYTES:]]
        self._parts.append(part)
        self._waiting += len(part)
        return self._complete() if self._waiting >= self._wanted else []

    def _complete(self) -> list[bytes]:
        data = b"".join(self._parts)
        at, found = 0, []
        while len(data) - at >= MESSAGE_HEAD_BYTES:
            end = at + MESSAGE_HEAD_BYTES + self._size(data, at)
            if end > len(data):
                self._wanted = end - at
                break
            found.append(data[at + MESSAGE_HEAD_BYTES : end])
            at = end
        else:
            self._wanted = MESSAGE_HEAD_BYTES
        rest = data[at:]
        self._parts, self._waiting = [rest] if rest else [], len(rest)
        return found

    def _size(self, data: bytes, at: int = 0) -> int:
        if data[at]:
            raise MessageError("a message is compressed, which was not offered")
        size = int.from_bytes(data[at + 1 : at + MESSAGE_HEAD_BYTES], "big")
        if self._most is not None and size > self._most:
            raise MessageTooLarge(f"a message of {size} bytes is larger than {self._most}")
        return size


class MessageError(Exception):
    """A message cannot be read; only its call fails."""


class MessageTooLarge(MessageError):
    """A message is larger than what is taken."""
