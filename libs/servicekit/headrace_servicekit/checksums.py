"""Frames with a checksum, end to end between two processes: what changed on the way is never taken for what was said.

A frame is a message with the fields `checked` (bool) and `checksum` (fixed64, field 15); see batcher.proto. It is
checked as a whole: its bytes also say where each request ends, so once one is wrong none of them can be trusted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError
from xxhash import xxh3_64_intdigest

# The last field of a frame: its tag (15, fixed64) and the checksum of all before it.
_FIELD = struct.Struct("<BQ")
_TAG = 15 << 3 | 1

F = TypeVar("F")


class Garbled(Exception):
    """A frame is not what its sender sent; nothing in it may be used."""


class FrameReader(Generic[F]):
    """Reads the frames of one direction of one stream. parse: `FromString` of the message."""

    def __init__(self, parse: Callable[[bytes], F]) -> None:
        self._parse = parse
        self._always = False

    def read(self, encoded: bytes) -> F:
        """Return a frame. Raises Garbled.

        One without checksum comes from an older release, unless the stream had one with it before.
        """
        try:
            frame: Any = self._parse(encoded)
        except DecodeError:
            raise Garbled("a frame does not parse") from None
        if self._always or frame.checked or frame.checksum:
            if len(encoded) < _FIELD.size:
                raise Garbled("a frame has lost its checksum")
            at = len(encoded) - _FIELD.size
            if _FIELD.unpack_from(encoded, at) != (_TAG, _checksum(memoryview(encoded)[:at])):
                raise Garbled("a frame does not match its checksum")
            self._always = True
        return frame


def encode(frame: Any) -> bytes:
    """Return a frame as it is sent: marked as checked, with its checksum at the end."""
    frame.checked = True
    encoded = frame.SerializeToString()
    return encoded + _FIELD.pack(_TAG, _checksum(encoded))


def _checksum(encoded: bytes | memoryview) -> int:
    return xxh3_64_intdigest(encoded) or 1  # 0 would read as none
