"""Frames between the service and a query's process: a letter, a length, and as many bytes."""

from __future__ import annotations

import asyncio
import enum
import struct
from typing import BinaryIO

_HEADER = struct.Struct(">cI")
MAX_BYTES = 64 * 1024 * 1024
# Of an answer's bytes, in one frame and in one message to the caller.
CHUNK_BYTES = 256 * 1024


class Kind(enum.Enum):
    """Who sends it, and what it is."""

    JOB = b"J"  # service: the query and its limits, in JSON
    READING = b"R"  # process: what the query reads, in JSON
    SOURCES = b"S"  # service: the files, in JSON
    ARROW = b"A"  # process: bytes of the Arrow IPC stream
    DONE = b"D"  # process: how it went, in JSON
    FAILED = b"F"  # process: what is wrong, in JSON


def frame(kind: Kind, content: bytes) -> bytes:
    """Return a frame."""
    return _HEADER.pack(kind.value, len(content)) + content


def read(stream: BinaryIO) -> tuple[Kind, bytes]:
    """Return the next frame. Raises EOFError."""
    kind, size = _HEADER.unpack(_exactly(stream, _HEADER.size))
    return Kind(kind), _exactly(stream, size)


async def receive(stream: asyncio.StreamReader) -> tuple[Kind, bytes]:
    """Return the next frame. Raises IncompleteReadError when the process is gone, ValueError for what is no frame."""
    kind, size = _HEADER.unpack(await stream.readexactly(_HEADER.size))
    if size > MAX_BYTES:
        raise ValueError(f"a frame of {size} bytes")
    return Kind(kind), await stream.readexactly(size)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        raise EOFError
    return content
