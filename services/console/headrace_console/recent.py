"""What was read a moment ago, for others who may see the same: a page that many reload is not read for each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")

KEPT_S = 1.0


class Recent(Generic[V]):
    """Values by what they are of, and by who may see it. Errors are not kept: each reader meets their own.

    now: a monotonic clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._read: dict[Hashable, tuple[float, V]] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._read)

    async def get(self, key: Hashable, read: Callable[[], Awaitable[V]]) -> V:
        """Return a value that was read at most a second ago, or read it."""
        self._forget()
        found = self._read.get(key)
        if found is not None:
            return found[1]
        value = await read()
        self._read.pop(key, None)  # another task may have read it meanwhile
        self._read[key] = self._now(), value
        return value

    def _forget(self) -> None:
        limit = self._now() - KEPT_S
        while self._read:
            oldest = next(iter(self._read))
            if self._read[oldest][0] > limit:
                return
            del self._read[oldest]
