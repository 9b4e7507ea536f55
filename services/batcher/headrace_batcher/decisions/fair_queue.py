"""Fair queueing: whose turn it is among the clients of one priority, and who has to go when the queue is full.

The order is start-time fair queueing (Goyal, Vin and Cheng, 1996): every client has a tag, which grows by the rows that
it is served, and the lowest tag is next. A client that comes back begins where the others are by now: what it did not
use is gone, what it had too much of is still held against it. Of two clients that both have something waiting, none is
ever ahead of the other by more than a request of each, whatever they send and however often.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from headrace_batcher.decisions.work import QUEUED, Client, Work

# FairQueue with nothing waiting that are remembered beside as many as have something waiting.
_MIN_IDLE = 64
# Requests that do not fit the rest of a batch and are passed over before it goes as it is.
_MAX_MISFITS = 8
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


class Turns:
    """FairQueue by rising tag. Tags only grow, so an entry whose tag has grown is moved when it comes up."""

    __slots__ = ("_entries", "_number")

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, Client]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, client: Client) -> None:
        """Add a client that is not in there."""
        self._number += 1
        heapq.heappush(self._entries, (client.tag, self._number, client))

    def first(self) -> Client | None:
        """Return the client whose turn it is, whether it has anything waiting or not."""
        entries = self._entries
        if len(entries) == 1:
            return entries[0][2]
        while entries:
            tag, number, client = entries[0]
            if client.tag == tag:
                return client
            heapq.heapreplace(entries, (client.tag, number, client))
        return None

    def keep(self, wanted: Callable[[Client], bool]) -> None:
        """Take out all other clients."""
        self._entries = [entry for entry in self._entries if wanted(entry[2])]
        heapq.heapify(self._entries)

    def drop_first(self) -> None:
        """Take out the client that `first` returned."""
        heapq.heappop(self._entries)


class FairQueue:
    """The clients of one priority. rows: that wait; active: clients that have something waiting."""

    __slots__ = ("_by_name", "_latest", "_now", "_turns", "active", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self.active = 0
        self._by_name: dict[str, Client] = {}
        self._turns = Turns()
        # The tag of who was served last, and the highest of all.
        self._now = self._latest = 0

    @property
    def known(self) -> int:
        """Return how many clients are remembered."""
        return len(self._by_name)

    def add(self, work: Work) -> Client:
        """Note that a request waits; return its client."""
        client = self._by_name.get(work.client) or self._enter(work.client)
        if not client.waiting:
            self.active += 1
            if client.tag < self._now:
                client.tag = self._now
            if not client.has_turn:
                client.has_turn = True
                self._turns.add(client)
        client.waiting[work.number] = work
        client.rows += work.rows
        client.size_bytes += work.size_bytes
        self.rows += work.rows
        work.holder = client
        return client

    def remove(self, work: Work) -> None:
        """Note that a request does not wait any more."""
        client = work.holder
        assert client is not None
        del client.waiting[work.number]
        client.rows -= work.rows
        client.size_bytes -= work.size_bytes
        self.rows -= work.rows
        if not client.waiting:
            self.active -= 1
            if not self.active:
                self._now = self._latest

    def charge(self, work: Work) -> None:
        """Note that a request is served, before it is removed."""
        client = work.holder
        assert client is not None
        if client.tag > self._now:
            self._now = client.tag
        client.tag += work.rows
        if client.tag > self._latest:
            self._latest = client.tag

    def next(self) -> Client:
        """Return the client whose turn it is, of those with something waiting; there must be one."""
        while (client := self._turns.first()) is not None and not client.waiting:
            self._turns.drop_first()
            client.has_turn = False
        assert client is not None
        return client

    def rows_ahead(self, name: str, rows: int) -> int:
        """Return about how many rows of this priority go before a new request of a client, and never too few by much.

        Its own, and of every other client as many as it will have been served by then.
        """
        client = self._by_name.get(name)
        waits = client is not None and bool(client.waiting)
        others = self.active - waits
        if not others:
            return self.rows
        own = 0 if client is None else client.rows
        lead = 0 if client is None else max(0, client.tag - self._now)
        return min(self.rows, own + others * (own + rows + lead))

    def waiting(self) -> Iterator[Client]:
        """Return every client with something waiting."""
        return (client for client in self._by_name.values() if client.waiting)

    def find(self, name: str) -> Client | None:
        """Return a client that is known."""
        return self._by_name.get(name)

    def _enter(self, name: str) -> Client:
        if len(self._by_name) > 2 * self.active + _MIN_IDLE:
            # Who has nothing waiting and is not ahead would begin as anybody does.
            self._by_name = {
                known: client for known, client in self._by_name.items() if client.waiting or client.tag > self._now
            }
            # `next` removes idle clients from the turns, but is not called while clients never wait at the same time.
            self._turns.keep(lambda client: bool(client.waiting))
            for client in self._by_name.values():
                client.has_turn = bool(client.waiting)
        client = self._by_name[name] = Client(name)
        return client


class Line:
    """The requests of one priority that can share a batch: for each client a heap by deadline."""

    __slots__ = ("_heaps", "_turns", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self._heaps: dict[Client, Heap] = {}
        self._turns = Turns()

    def push(self, work: Work, client: Client) -> None:
        """Add a request of a client."""
        heap = self._heaps.get(client)
        if heap is None:
            if len(self._heaps) > 2 * self.rows + _MIN_IDLE:
                self._forget_idle()
            heap = self._heaps[client] = Heap()
            self._turns.add(client)
        heap.push(work.deadline, work, len(client.waiting))
        self.rows += work.rows

    def fill(self, batch: list[Work], room: int, take: Callable[[Work, list[Work]], int]) -> int:
        """Move requests into a batch, the clients in turn and each by deadline; return the room that is left.

        take: moves one out of the queue and into the batch, charges it to its client, and returns its rows.
        """
        passed_over: list[tuple[Heap, tuple[float, int, Work]]] = []
        emptied: list[Client] = []
        turns = self._turns
        while room > 0 and len(passed_over) < _MAX_MISFITS and (client := turns.first()) is not None:
            heap = self._heaps[client]
            first = heap.first()
            if first is None:
                if len(turns) == 1:
                    break
                turns.drop_first()
                emptied.append(client)
                continue
            heapq.heappop(heap.entries)
            work = first[2]
            if work.rows > room and batch:
                passed_over.append((heap, first))
                continue
            room -= take(work, batch)
        for heap, entry in passed_over:
            heapq.heappush(heap.entries, entry)
        for client in emptied:
            if self._heaps[client].entries:
                turns.add(client)
            else:
                del self._heaps[client]
        return room

    def _forget_idle(self) -> None:
        self._heaps = {client: heap for client, heap in self._heaps.items() if heap.first() is not None}
        self._turns.keep(lambda client: client in self._heaps)
