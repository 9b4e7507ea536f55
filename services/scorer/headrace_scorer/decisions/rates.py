"""The recent scoring rate in rows per second. Pure."""

from __future__ import annotations

from collections import deque

WINDOW_S = 30.0


class Rate:
    """Rows that were done at times of one clock."""

    def __init__(self, now_s: float) -> None:
        self._began = now_s
        self._done: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, rows: int) -> float:
        """Count rows that are done, and return the rows per second since the window began."""
        self._done.append((now_s, rows))
        while len(self._done) > 1 and self._done[0][0] < now_s - WINDOW_S:
            self._began = self._done.popleft()[0]
        return sum(rows for _, rows in self._done) / max(now_s - self._began, 1e-3)
