"""The stored form of a batch: a checksum, its uncompressed size, which bounds the decompression, and the content."""

from __future__ import annotations

import zlib
from typing import Any
from uuid import UUID

from google.protobuf.message import DecodeError
from headrace.telemetry.v1 import telemetry_pb2

BATCH_PREFIX = "batches/"
# Larger than any message that is taken.
MAX_BYTES = 64 * 1024 * 1024

_MAGIC = b"HRB1"
_SIZE_BYTES = 8
_CHECKSUM_BYTES = 4
_HEAD_BYTES = len(_MAGIC) + _SIZE_BYTES + _CHECKSUM_BYTES


class DamagedError(ValueError):
    """Bytes that are no stored batch, or not the one that was meant."""


def batch_key(process: UUID, sequence: int) -> str:
    """Return the object key of a batch: every process and every retry writes the same object."""
    return f"{BATCH_PREFIX}{process}/{sequence:016d}"


def batch_of(key: str) -> tuple[UUID, int] | None:
    """Return process and number that a key names; None for what is no key of a batch."""
    process, _, sequence = key.removeprefix(BATCH_PREFIX).partition("/")
    try:
        found = UUID(process), int(sequence)
    except ValueError:
        return None
    return found if batch_key(*found) == key else None


def pack(request: telemetry_pb2.ReportPredictionsRequest) -> bytes:
    """Return a batch as it is stored."""
    content = request.SerializeToString()
    size = len(content).to_bytes(_SIZE_BYTES, "little")
    return _MAGIC + size + _checksum(content) + _codec().compress(content, asbytes=True)


def unpack(stored: bytes) -> telemetry_pb2.ReportPredictionsRequest:
    """Return a stored batch. Raises DamagedError."""
    head = stored[:_HEAD_BYTES]
    size = int.from_bytes(head[len(_MAGIC) : -_CHECKSUM_BYTES], "little")
    if len(head) < _HEAD_BYTES or not head.startswith(_MAGIC) or size > MAX_BYTES:
        raise DamagedError("is no batch of predictions")
    try:
        content = _codec().decompress(stored[_HEAD_BYTES:], decompressed_size=size, asbytes=True)
        if not head.endswith(_checksum(content)):
            raise DamagedError("is damaged: its checksum differs")
        return telemetry_pb2.ReportPredictionsRequest.FromString(content)
    except (OSError, ValueError, DecodeError) as error:  # of the codec, or the parser
        raise DamagedError(f"cannot be unpacked: {error}") from error


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little")


def _codec() -> Any:
    import pyarrow as pa  # the service starts without it

    return pa.Codec("zstd", compression_level=1)
