"""What is at the backend of one version: executions, and batches sent ahead that wait there for one of them to end.

A backend does not say when it begins a batch. It takes them in their order, as many at once as it has instances, so a
batch that was sent ahead begins when one before it ends. Counted from when it was sent, an execution would seem to take
twice as long under load.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Sent:
    """A batch at the backend. began: when its execution did, None while it waits there for an instance."""

    rows: int
    began: float | None


class AtBackend:
    """The batches at the backend, in the order in which they were sent. instances: that execute at once."""

    def __init__(self, instances: int) -> None:
        self._instances = instances
        self._sent: list[Sent] = []
        self._finishes: list[float] | None = None
        self._finishes_at = 0.0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def rows(self) -> int:
        """Return the rows of all of them."""
        return sum(one.rows for one in self._sent)

    def send(self, rows: int, now: float) -> Sent:
        """Note a batch that is sent now."""
        sent = Sent(rows, now if len(self._sent) < self._instances else None)
        self._sent.append(sent)
        self._finishes = None
        return sent

    def end(self, sent: Sent, now: float) -> None:
        """Note that a batch ended, so that another one begins; nothing happens when that was noted before."""
        if sent not in self._sent:
            return
        self._sent.remove(sent)
        self._finishes = None
        ahead = [one for one in self._sent if one.began is None]
        if ahead and len(self._sent) - len(ahead) < self._instances:
            ahead[0].began = now

    def finishes(self, estimate: Callable[[int, float], float], now: float) -> Sequence[float]:
        """Return when each should end, in their order. estimate: of what an execution of so many rows takes."""
        # The requests of a frame all come at the same time, and each wants to know.
        if self._finishes is None or self._finishes_at != now:
            self._finishes, self._finishes_at = self._expected(estimate, now), now
        return self._finishes

    def _expected(self, estimate: Callable[[int, float], float], now: float) -> list[float]:
        finishes: list[float] = []
        free: list[float] = []
        for one in self._sent:
            began = max(now, heapq.heappop(free)) if one.began is None else one.began
            finishes.append(began + estimate(one.rows, now))
            heapq.heappush(free, finishes[-1])
        return finishes
