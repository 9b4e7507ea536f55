"""How fast uploads come, and which of them is to make room when every place is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from headrace_servicekit.identity import Identity

# While others wait for a place: silence after which an upload makes room, and how far it may be behind FULL_RATE.
SILENT_S = 5.0
BEHIND_S = 30.0
FULL_RATE_BYTES_PER_S = 1024 * 1024


class Pace:
    """One upload. client: whose it is. now: monotonic seconds, here and below."""

    def __init__(self, client: Identity) -> None:
        self.client = client
        self.size_bytes = 0
        self.waited_s = 0.0
        """Time in which we waited for the sender; that our own disk is slow is no fault of the sender's."""
        self.makes_room = False
        """Whether it was ended because others waited for its place."""
        self._since: float | None = None
        self._patience: asyncio.Timeout | None = None

    @property
    def waiting(self) -> bool:
        """Return whether the next chunk is waited for."""
        return self._since is not None

    def waits(self, now: float, patience: asyncio.Timeout) -> None:
        """Note that the next chunk is waited for, until `patience` ends."""
        self._since, self._patience = now, patience

    def came(self, now: float, size_bytes: int) -> None:
        """Note that a chunk came, or the end."""
        self.waited_s += 0.0 if self._since is None else now - self._since
        self.size_bytes += size_bytes
        self._since = self._patience = None

    def overdue(self, now: float) -> float:
        """Return how near the upload is to making room for others: it does from 1 on. One that is not waited for: 0."""
        if self._since is None or self._patience is None or self._patience.expired():
            return 0.0
        silent_s = now - self._since
        behind_s = self.waited_s + silent_s - self.size_bytes / FULL_RATE_BYTES_PER_S
        return max(silent_s / SILENT_S, behind_s / BEHIND_S)

    def end(self) -> None:
        """End the wait for the next chunk, and so the upload."""
        if self._patience is not None:
            self.makes_room = True
            self._patience.reschedule(asyncio.get_running_loop().time())


def make_room(uploads: Iterable[Pace], now: float) -> None:
    """End the upload that keeps others waiting the most, if one of them may not."""
    slowest = max(uploads, key=lambda one: one.overdue(now), default=None)
    if slowest is not None and slowest.overdue(now) >= 1:
        slowest.end()
