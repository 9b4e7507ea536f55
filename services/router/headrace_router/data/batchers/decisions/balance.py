"""Which replica gets the next request, and how many requests may be repeated: decisions over plain numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

# Guess for a replica that has not yet reported how long its rows take.
ROW_GUESS_S = 0.0002


class Loaded(Protocol):
    """What is known of a replica: its last word on its load, when that came, and what we have in flight there."""

    rows: int
    predicted_wait_s: float
    load_seen: float
    rows_in_flight: int

    @property
    def in_flight(self) -> int:
        """Return how many of our requests are there."""
        ...


class Candidate(Protocol):
    """A version at a replica, and how long its answers take there."""

    @property
    def replica(self) -> Loaded:
        """Return the replica."""
        ...

    def expected_s(self, now: float) -> float:
        """Return how long an answer takes without the wait in the queue."""
        ...


C = TypeVar("C", bound=Candidate)


def expected_wait_s(replica: Loaded, now: float) -> float:
    """Return the wait that a new request would probably have.

    The replica's own prediction runs down as time passes; what we sent counts on top, at the pace that its prediction
    implies, because its last word may not include it.
    """
    pace = replica.predicted_wait_s / replica.rows if replica.rows > 0 else ROW_GUESS_S
    left = replica.predicted_wait_s - (now - replica.load_seen)
    return max(0.0, left) + replica.rows_in_flight * pace


def choose(candidates: Sequence[C], now: float, draw: Callable[[], float]) -> C:
    """Return the one of two candidates picked at random where a request costs less: near the best choice, without a
    herd running to it.

    draw: uniform in [0, 1). candidates: at least one.
    """
    count = len(candidates)
    if count == 1:
        return candidates[0]
    first = int(draw() * count)
    second = int(draw() * (count - 1))
    second += second >= first
    one, other = candidates[first], candidates[second]
    return one if cost_s(one, now) <= cost_s(other, now) else other


def cost_s(candidate: Candidate, now: float) -> float:
    """Return what a request more costs there: the wait, and what answers take for everybody who is there.

    By the second part those who are there are divided in proportion to how fast each replica answers (Finagle calls it
    peak EWMA); the first part alone would give a replica that answers late, but has no queue, as many as any other.
    """
    replica = candidate.replica
    return expected_wait_s(replica, now) + candidate.expected_s(now) * (1 + replica.in_flight)


class RetryBudget:
    """Keeps repeated requests to a share of all: each request earns `share`, each retry spends one.

    burst: the most that can be saved up, so that the requests of a lost replica can all be repeated at once. saved:
    what a quiet process begins with; by default the burst.
    """

    __slots__ = ("_burst", "_saved", "_share", "refused", "spent")

    def __init__(self, share: float, burst: float, saved: float | None = None) -> None:
        self._share, self._burst, self._saved = share, burst, burst if saved is None else saved
        self.spent = 0
        self.refused = 0

    def earn(self) -> None:
        """Count a first attempt."""
        if self._saved < self._burst:
            self._saved += self._share

    def spend(self) -> bool:
        """Take one retry; return False when the budget is used up."""
        if self._saved < 1.0:
            self.refused += 1
            return False
        self._saved -= 1.0
        self.spent += 1
        return True
