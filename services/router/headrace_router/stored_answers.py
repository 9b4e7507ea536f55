"""How stored answers lie in Valkey: their keys, and the entry around the encoded outputs.

The control plane writes precomputed answers, data planes write the cache, and data planes read both. Every key begins
with the incarnation of the control plane's store: what another store numbered is never read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

FORMAT = 1
_HEADER = struct.Struct("<BQI")  # format, computed_at_ms, checksum
HEADER_BYTES = _HEADER.size


class Entry(NamedTuple):
    """One stored answer. computed_at_ms: Unix time. outputs: fields 5 and 6 of PredictResponse, encoded."""

    computed_at_ms: int
    outputs: bytes


def encode(key: bytes, entry: Entry) -> bytes:
    """Return the bytes to store under a key."""
    header = _HEADER.pack(FORMAT, entry.computed_at_ms, 0)
    return _HEADER.pack(FORMAT, entry.computed_at_ms, _checksum(key, header, entry.outputs)) + entry.outputs


def encode_all(keys: Iterable[bytes], computed_at_ms: int, outputs: Sequence[bytes]) -> list[bytes]:
    """Return what `encode` returns for each key and its outputs, all computed at one moment."""
    header, pack = _HEADER.pack(FORMAT, computed_at_ms, 0), _HEADER.pack
    return [
        pack(FORMAT, computed_at_ms, _checksum(key, header, encoded)) + encoded
        for key, encoded in zip(keys, outputs, strict=True)
    ]


def decode(key: bytes, stored: bytes) -> Entry | None:
    """Return what `encode` wrote under this key, or None for bytes that it did not write: nothing is made of those."""
    if len(stored) < HEADER_BYTES:
        return None
    form, computed_at_ms, checksum = _HEADER.unpack_from(stored)
    outputs = stored[HEADER_BYTES:]
    if form != FORMAT or checksum != _checksum(key, _HEADER.pack(form, computed_at_ms, 0), outputs):
        return None
    return Entry(computed_at_ms, outputs)


def cache_prefix(incarnation: str, digest: str, cache_epoch: int) -> bytes:
    """Return what the keys of a version's cache entries begin with; the digest of the request follows."""
    return f"c:{incarnation}:{digest}:{cache_epoch}:".encode()


def precomputed_prefix(incarnation: str, digest: str, generation: int) -> bytes:
    """Return what the keys of a generation of precomputed answers begin with; the entity (UTF-8) follows."""
    return f"p:{incarnation}:{digest}:{generation}:".encode()


def marker_key(incarnation: str, digest: str, generation: int) -> bytes:
    """Return the key that holds the row count (decimal) of a whole generation. Missing: the store lost it."""
    return f"m:{incarnation}:{digest}:{generation}".encode()


def progress_key(incarnation: str, digest: str, generation: int) -> bytes:
    """Return the key of the hash that says how far the publish of a generation is: rows, entities, bytes, closed."""
    return f"u:{incarnation}:{digest}:{generation}".encode()


def explanation_key(incarnation: str, prediction_id: str) -> bytes:
    """Return the key of the explanation of a prediction."""
    return f"e:{incarnation}:{prediction_id}".encode()


def request_key(incarnation: str, request_id: str) -> bytes:
    """Return the key that holds the prediction id of a request's last answer."""
    return f"r:{incarnation}:{request_id}".encode()


def rate_limit_key(incarnation: str, limit: str, client: str) -> bytes:
    """Return the key that says when a client's bucket of a rate limit is full again, in microseconds of Unix time."""
    return f"l:{incarnation}:{limit}:{client}".encode()


def _checksum(key: bytes, header: bytes, outputs: bytes) -> int:
    return crc32(outputs, crc32(header, crc32(key)))
