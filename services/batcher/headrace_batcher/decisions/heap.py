"""Heaps of requests by a time, in which entries may die where they are."""

from __future__ import annotations

import heapq

from headrace_batcher.decisions.work import QUEUED, Work

# Dead entries that a heap may hold before it is rebuilt.
_MIN_DEAD = 256


class Heap:
    """Entries are (time, number, work); those of requests that left the queue another way are skipped."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, Work]] = []

    def push(self, time: float, work: Work, alive: int) -> None:
        """Add an entry; `alive` entries at most are still queued, so that the dead can be swept when they are many."""
        entries = self.entries
        if len(entries) > 2 * alive + _MIN_DEAD:
            entries[:] = [entry for entry in entries if entry[2].state is QUEUED]
            heapq.heapify(entries)
        heapq.heappush(entries, (time, work.number, work))

    def first(self) -> tuple[float, int, Work] | None:
        """Return the earliest entry that is still queued."""
        entries = self.entries
        while entries:
            if entries[0][2].state is QUEUED:
                return entries[0]
            heapq.heappop(entries)
        return None
