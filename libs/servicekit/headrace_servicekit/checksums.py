"""Frames with a checksum, end to end between two processes: what changed on the way is never taken for what was said.

A frame is a message whose field 15 is `checksum`, as batcher.proto describes it. It is checked as a whole: its bytes
also say where each request ends, so once one is wrong nothing in it can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError
from xxhash import xxh3_64_digest

# Field 15 of 18 bytes, and the first ten. No message, number or text can begin with these: a change of the tag does
# not make another field of it.
_MARK = b"\x7a\x12" + b"\xff" * 10
_DIGEST_BYTES = 8
_END_BYTES = len(_MARK) + _DIGEST_BYTES

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
        marked = encoded[-_END_BYTES:-_DIGEST_BYTES] == _MARK
        if marked:
            if encoded[-_DIGEST_BYTES:] != xxh3_64_digest(memoryview(encoded)[:-_END_BYTES]):
                raise Garbled("a frame does not match its checksum")
            self._always = True
        elif self._always:
            raise Garbled("a frame has lost its checksum")
        try:
            frame: Any = self._parse(encoded)
        except DecodeError:
            raise Garbled("a frame does not parse") from None
        if not marked and frame.checksum:
            raise Garbled("the checksum of a frame is not at its end")
        return frame


def encode(frame: Any) -> bytes:
    """Return a frame as it is sent, with its checksum at the end."""
    encoded = frame.SerializeToString()
    return b"".join((encoded, _MARK, xxh3_64_digest(encoded)))
