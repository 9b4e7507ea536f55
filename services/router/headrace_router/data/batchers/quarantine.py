"""Inputs that took what runs their version down twice: refused here for a while, so that no other batcher meets them.

Batchers find them; each data plane remembers what it was told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from hashlib import blake2b

from headrace_router.data.batchers.work import Work

REASON = "QUARANTINED_INPUT"
REFUSED_S = 600.0
MAX_INPUTS = 4096
_DIGEST_BYTES = 16


class Quarantine:
    """The inputs in quarantine, by version and digest; the oldest go first when there are too many."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.refused = 0
        """Requests refused so far."""
        self._now = now
        self._until: dict[tuple[str, bytes], float] = {}
        # How many there are of each version: while there are none, its requests are not digested.
        self._versions: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, work: Work) -> None:
        """Refuse a work's inputs from now on."""
        key = _key(work)
        self._drop(key)
        while len(self._until) >= MAX_INPUTS:
            self._drop(next(iter(self._until)))
        self._until[key] = self._now() + REFUSED_S
        self._versions[work.digest] += 1

    def refuses(self, work: Work) -> bool:
        """Return whether a work is to be refused, and count it."""
        if work.digest not in self._versions:
            return False
        key = _key(work)
        until = self._until.get(key)
        if until is None:
            return False
        if until <= self._now():
            self._drop(key)
            return False
        self.refused += 1
        return True

    def _drop(self, key: tuple[str, bytes]) -> None:
        if self._until.pop(key, None) is None:
            return
        self._versions[key[0]] -= 1
        if not self._versions[key[0]]:
            del self._versions[key[0]]


def _key(work: Work) -> tuple[str, bytes]:
    shape = repr((tuple(work.absent), tuple(work.dims), work.rows, [len(data) for data in work.inputs]))
    digest = blake2b(shape.encode(), digest_size=_DIGEST_BYTES)
    for data in work.inputs:
        digest.update(data)
    return work.digest, digest.digest()
