"""What makes two requests the same for the cache.

The key is a digest over every part that the answer may depend on, each behind its length, so that no two requests that
differ in a part have the same bytes under the digest.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from hashlib import blake2b

from headrace_router.data.tables.contract import Layout

# Digesting takes some 0.5 ms per MiB, in which the event loop serves nobody else.
LARGE_INPUTS_BYTES = 64 * 1024
_DIGEST_BYTES = 16
_HEAD = struct.Struct("<?7I")


def by_inputs(
    prefix: bytes, signature_hash: str, layout: Layout, inputs: Sequence[bytes], outputs: Sequence[int], entity_id: str
) -> bytes:
    """Return the key of requests that are the same when their inputs are, and the entity when given.

    prefix: of the version's cache (`stored_answers.cache_prefix`). inputs: those present, in the order of the contract.
    """
    entity = entity_id.encode()
    lengths = tuple(map(len, inputs))
    digest = _begun(
        signature_hash, layout.rows, layout.absent, layout.dims, tuple(outputs), lengths, len(entity)
    ).copy()  # fmt: skip
    if entity:
        digest.update(entity)
    for content in inputs:
        digest.update(content)
    return prefix + digest.digest()


@functools.lru_cache(maxsize=4096)
def _begun(
    signature_hash: str,
    rows: int,
    absent: Sequence[int],
    dims: Sequence[int],
    outputs: Sequence[int],
    lengths: Sequence[int],
    entity_bytes: int,
) -> blake2b:
    """Return a digest over all that requests of one shape have in common: requests repeat their shapes."""
    signature = signature_hash.encode()
    head = _HEAD.pack(
        True, rows, len(absent), len(dims), len(outputs), len(lengths), entity_bytes, len(signature)
    )  # fmt: skip
    numbers = (*absent, *dims, *outputs, *lengths)
    return blake2b(head + struct.pack(f"<{len(numbers)}Q", *numbers) + signature, digest_size=_DIGEST_BYTES)


def by_entity(prefix: bytes, signature_hash: str, rows: int, outputs: Sequence[int], entity_id: str) -> bytes:
    """Return the key of requests that are the same when their entity is, whatever their inputs."""
    entity, signature = entity_id.encode(), signature_hash.encode()
    head = _HEAD.pack(False, rows, 0, 0, len(outputs), 0, len(entity), len(signature))
    numbers = struct.pack(f"<{len(outputs)}Q", *outputs)
    return prefix + blake2b(b"".join((head, numbers, entity, signature)), digest_size=_DIGEST_BYTES).digest()
