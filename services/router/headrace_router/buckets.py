"""Buckets: the fine grid on which units are assigned to variants.

A keyed hash maps a unit to one of BUCKETS buckets; a route's table gives ranges of buckets to variants. The control
plane moves as few buckets as a change of weights needs; data planes only look them up.
"""

from hashlib import blake2b

BUCKETS = 1_000_000


def salt_of(salt: bytes, layer: str) -> bytes:
    """Return the salt of a route in a layer: the same for all of the layer; its own without one."""
    return blake2b(layer.encode(), digest_size=16, person=b"headrace-layer").digest() if layer else salt


def bucket_of(salt: bytes, unit: str) -> int:
    """Return the bucket, from 0 to BUCKETS - 1, of a unit under a route's 16-byte salt.

    64 bits of keyed blake2b: the same on every machine, and independent between routes with different salts.
    """
    return int.from_bytes(blake2b(unit.encode(), digest_size=8, key=salt).digest(), "big") % BUCKETS
