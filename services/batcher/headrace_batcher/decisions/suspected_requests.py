"""Inputs that may be, or are, why what runs a version went away. Pure: time comes in.

Every request of an execution during which that happened is suspected. It is executed once more, alone: one that
survives is cleared, one that does it again is condemned and refused for a while.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from hashlib import blake2b

from headrace_runtime.shapes import ShapeKey

REMEMBERED_S = 600.0
MAX_REMEMBERED = 4096
_DIGEST_BYTES = 16


class Verdict(enum.Enum):
    """What is known of an input."""

    SUSPECT = enum.auto()
    CONDEMNED = enum.auto()


class SuspectedRequests:
    """Verdicts by input digest, of one version; the oldest are forgotten beyond a number, and all after ten minutes."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Verdict, float]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def mark(self, digest: bytes, verdict: Verdict, now: float) -> None:
        """Remember a verdict; it replaces the one before."""
        self._known.pop(digest, None)
        while len(self._known) >= MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[digest] = (verdict, now + REMEMBERED_S)

    def clear(self, digest: bytes) -> None:
        """Forget an input that was executed without harm."""
        self._known.pop(digest, None)

    def verdict(self, digest: bytes, now: float) -> Verdict | None:
        """Return what is known of an input, None for nothing."""
        # All of them, the oldest first: while anything is known, every request is hashed to be looked up.
        while self._known and next(iter(self._known.values()))[1] <= now:
            del self._known[next(iter(self._known))]
        known = self._known.get(digest)
        return None if known is None else known[0]


def digest_of(key: ShapeKey, inputs: Sequence[bytes]) -> bytes:
    """Return what names the inputs of a request among those of one version."""
    hashed = blake2b(repr((key.absent, key.dims, [len(data) for data in inputs])).encode(), digest_size=_DIGEST_BYTES)
    for data in inputs:
        hashed.update(data)
    return hashed.digest()
