"""Admission to the queue of one version: which requests enter, and which are dropped for them."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Callable, Iterator, Sequence

from headrace_batcher.decisions import policy
from headrace_batcher.decisions.answers import MODEL_LOADING, Failure
from headrace_batcher.decisions.fair_queue import FairQueue
from headrace_batcher.decisions.policy import Limits, Refusal
from headrace_batcher.decisions.queue import WorkQueue
from headrace_batcher.decisions.service_times import ServiceTimes
from headrace_batcher.decisions.work import ONLINE, PRIORITIES, Work

# Wait of a new request, when so many rows go before it.
PredictedWait = Callable[[int, float], float]


class Admission:
    """Decides on requests at the time at which they arrive. wait_s: of a request with so many rows before it."""

    def __init__(self, queue: WorkQueue, limits: Limits, service_times: ServiceTimes, wait_s: PredictedWait) -> None:
        self._queue = queue
        self._limits = limits
        self._service_times = service_times
        self._wait_s = wait_s

    def admit(self, work: Work) -> Refusal | Sequence[Work]:
        """Return why a request is refused, else the queued requests to drop for it, mostly none."""
        now, limits, estimate = work.arrived, self._limits, self._service_times.estimate
        service_s = batch_s = 0.0
        wait_s = self._wait_s(self._rows_ahead(work), now)
        if work.deadline < math.inf:
            rounds = math.ceil(-(-work.rows // limits.max_rows) / limits.instances)
            service_s = batch_s = rounds * estimate(min(work.rows, limits.max_rows), now)
            if wait_s:  # others will be with it in its batch
                mates = self._queue.priority_rows(work.priority)
                batch_s = max(batch_s, estimate(min(mates + work.rows, limits.max_rows), now))
        displaced = self._make_room(work)
        refusal = policy.admit(
            deadline=work.deadline,
            service_s=service_s,
            wait_s=wait_s,
            batch_s=batch_s,
            spread=self._service_times.spread,
            fits=displaced is not None,
            now=now,
        )
        return refusal or displaced or ()

    def displaced(self, work: Work, now: float) -> Refusal:
        """Return what to tell who has to go."""
        return policy.queue_full(self._wait_s(self._rows_ahead(work), now))

    def _rows_ahead(self, work: Work) -> int:
        """Return about how many rows go before a request."""
        queue, priority = self._queue, work.priority
        ahead = sum(queue.priority_rows(at) for at in range(priority)) if priority else 0
        return ahead + queue.clients(priority).rows_ahead(work.client, work.rows)

    def _make_room(self, work: Work) -> Sequence[Work] | None:
        """Return the queued requests to drop so that a request fits; None when it cannot fit."""
        queue, limits, online = self._queue, self._limits, work.priority == ONLINE
        room = policy.room_rows(queue.rows, queue.priority_rows(ONLINE), limits, online=online)
        # A single request may be of any size that a message can have.
        room_bytes = limits.max_queue_bytes - queue.size_bytes if queue.rows else work.size_bytes
        if work.rows <= room and work.size_bytes <= room_bytes:
            return ()
        return make_room(queue, work, work.rows - room, work.size_bytes - room_bytes, limits)


def make_room(queue: WorkQueue, work: Work, rows: int, size_bytes: int, limits: Limits) -> Sequence[Work] | None:
    """Return the queued requests to drop to free `rows` and `size_bytes` for a request; None when it is refused itself.
    Drops the newest requests of the clients with most of the queue: lower priorities first, then those of the request's
    priority from clients that would still have more than its client.
    """
    going: list[Work] = []
    for one in _by_holding(queue, work, limits):
        if rows <= 0 and size_bytes <= 0:
            break
        going.append(one)
        rows -= one.rows
        size_bytes -= one.size_bytes
    return going if rows <= 0 and size_bytes <= 0 else None


def _by_holding(queue: WorkQueue, work: Work, limits: Limits) -> Iterator[Work]:
    """Return the requests that may have to go for another one, the first to go first."""
    for below in reversed(PRIORITIES[work.priority + 1 :]):
        yield from _largest_first(queue.clients(below), 0.0, limits)
    clients = queue.clients(work.priority)
    own = clients.find(work.client)
    rows, size_bytes = (own.rows, own.size_bytes) if own is not None else (0, 0)
    would_hold = _share(rows + work.rows, size_bytes + work.size_bytes, limits)
    others = clients.active - (rows > 0)
    # A client with its equal part is refused at once: under overload that is the most frequent case.
    if would_hold * (others + 1) <= 1.0:
        yield from _largest_first(clients, would_hold, limits)


def _largest_first(clients: FairQueue, above: float, limits: Limits) -> Iterator[Work]:
    """Yield the newest request of the client that holds most of the queue, again and again. Clients that hold no more
    than `above` lose none.
    """
    holders = [
        (-_share(client.rows, client.size_bytes, limits), at, client.rows, client.size_bytes, client.newest_first())
        for at, client in enumerate(clients.waiting())
    ]
    heapq.heapify(holders)
    while holders and -holders[0][0] > above:
        _, at, rows, size_bytes, newest = holders[0]
        work = next(newest, None)
        if work is None:
            heapq.heappop(holders)
            continue
        yield work
        rows, size_bytes = rows - work.rows, size_bytes - work.size_bytes
        heapq.heapreplace(holders, (-_share(rows, size_bytes, limits), at, rows, size_bytes, newest))


def _share(rows: int, size_bytes: int, limits: Limits) -> float:
    """Return what part of the queue so many rows and bytes are: of whichever they take more of."""
    return max(rows / limits.max_queue_rows, size_bytes / limits.max_queue_bytes)


# Shortest retry delay in a refusal.
LEAST_RETRY_S = 0.1


class Sleep:
    """One time that a version is not in memory.

    load_s: estimated time to load it. wake: called at the first request. asked: whether one has come.
    """

    __slots__ = ("_load_s", "_wake", "asked", "refusal")

    def __init__(self, load_s: float, wake: Callable[[], None]) -> None:
        self._load_s, self._wake = load_s, wake
        self.asked = False
        self.refusal: Failure = dataclasses.replace(MODEL_LOADING, retry_after_s=max(LEAST_RETRY_S, load_s))

    def may_wait(self, work: Work) -> bool:
        """Note a request for the version; return whether its deadline allows for the load."""
        if not self.asked:
            self.asked = True
            self._wake()
        return work.deadline - work.arrived >= self._load_s
