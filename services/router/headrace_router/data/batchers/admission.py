"""What becomes of a request before any batcher gets it: a short wait for one that is away, or a refusal.

Whether a request waits, and for how long, is decided here over plain numbers; `pools.py` has the clock and the timers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from headrace_router.data.batchers.decisions.balance import Window
from headrace_router.data.batchers.work import ONLINE, Work

# How long a version may have been missed before requests stop waiting for it: then it is away, and not for a moment.
HOPE_S = 10.0
# Left of the deadline for saying that the wait was in vain.
MARGIN_S = 0.02
# Versions missed at a time that are remembered; tables name far fewer.
MAX_MISSED = 4096


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds of the waiting. timeout_s: for one request. requests, size_bytes: of all that wait for one pool."""

    timeout_s: float = 1.0
    requests: int = 1024
    size_bytes: int = 64 * 1024 * 1024


class PendingQueue:
    """The requests for one pool that wait until one of its batchers has their version.

    A version is missed from the first request that finds no batcher for it until there is one. Requests wait for it
    during the first seconds of that only: a pool that stays away answers at once.
    """

    def __init__(self, limits: QueueLimits) -> None:
        self.waited = 0
        """Requests that had to wait so far."""
        self.missed_at = -math.inf
        """When a request last found no batcher for its version."""
        self._starting_until = self._ready_at = -math.inf
        self._timeout_s = limits.timeout_s
        self._window = Window(limits.requests, limits.size_bytes)
        self._missed_since: dict[str, float] = {}
        self._waiting: dict[Work, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Work]:
        return iter(tuple(self._waiting))

    def __contains__(self, work: Work) -> bool:
        return work in self._waiting

    def starting(self, now: float, lease_s: float, start_s: float | None) -> None:
        """Let requests wait up to their deadline, for the next `lease_s`: the pool has no batcher, and gets one.

        start_s: how long that takes, None while unknown; requests with less time than is left of it are refused.
        """
        if now >= self._starting_until:
            self._ready_at = now + (start_s or 0.0)
        self._starting_until = now + lease_s

    def ready_in_s(self, now: float) -> float | None:
        """Return after how long a pool that is being started is expected to answer; None when it is not."""
        return max(self._ready_at - now, 0.0) if now < self._starting_until else None

    def until(self, work: Work, now: float) -> float | None:
        """Return until when a request for a version that no batcher has may wait, or None if it has to be refused.

        Called for every such request, so that the room knows since when the version is missed.
        """
        since = self._missed_since.get(work.digest)
        if since is None:
            if len(self._missed_since) >= MAX_MISSED:
                del self._missed_since[next(iter(self._missed_since))]
            since = self._missed_since[work.digest] = now
        self.missed_at = now
        until = self._until(work, since, now)
        if until <= now or not self._window.has_room(work.client, work.size_bytes, online=work.priority <= ONLINE):
            return None
        return until

    def _until(self, work: Work, since: float, now: float) -> float:
        latest, ready_in_s = work.deadline - MARGIN_S, self.ready_in_s(now)
        if ready_in_s is not None and work.queue_timeout_s > 0:
            return latest if now + ready_in_s < latest else now
        return min(now + min(work.queue_timeout_s, self._timeout_s), since + HOPE_S, latest)

    def enter(self, work: Work, now: float, tick: int) -> None:
        """Let a request wait. tick: of the timer that ends its wait."""
        self.waited += 1
        self._window.add(work.client, work.size_bytes, online=work.priority <= ONLINE)
        self._waiting[work] = (now, tick)

    def leave(self, work: Work, now: float) -> int | None:
        """Take a request out; return its tick, or None when it does not wait. What it waited it cannot wait again."""
        entered = self._waiting.pop(work, None)
        if entered is None:
            return None
        since, tick = entered
        self._window.remove(work.client, work.size_bytes, online=work.priority <= ONLINE)
        if self.ready_in_s(now) is None:
            work.queue_timeout_s = max(0.0, min(work.queue_timeout_s, self._timeout_s) - (now - since))
        return tick

    def called(self, serves: Callable[[str], bool]) -> list[Work]:
        """Return the requests whose version a batcher has now, in the order of arrival; they have to leave."""
        for digest in [digest for digest in self._missed_since if serves(digest)]:
            del self._missed_since[digest]
        return [work for work in self._waiting if work.digest not in self._missed_since]


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
        self.versions: Counter[str] = Counter()
        """How many there are of each version: while there are none, its requests are not digested."""

    def __len__(self) -> int:
        return len(self._until)

    def add(self, work: Work) -> None:
        """Refuse a work's inputs from now on."""
        key = _key(work)
        self._drop(key)
        while len(self._until) >= MAX_INPUTS:
            self._drop(next(iter(self._until)))
        self._until[key] = self._now() + REFUSED_S
        self.versions[work.digest] += 1

    def refuses(self, work: Work) -> bool:
        """Return whether a work is to be refused, and count it."""
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
        self.versions[key[0]] -= 1
        if not self.versions[key[0]]:
            del self.versions[key[0]]


def _key(work: Work) -> tuple[str, bytes]:
    shape = repr((tuple(work.absent), tuple(work.dims), work.rows, [len(data) for data in work.inputs]))
    digest = blake2b(shape.encode(), digest_size=_DIGEST_BYTES)
    for data in work.inputs:
        digest.update(data)
    return work.digest, digest.digest()
