"""The queue of one version: bounded by its owner, counted in rows, grouped by shape.

Order: by priority (`priority.py`), within a priority the clients in turn (`fair_queue.py`), within a client by
deadline. No request starves: one whose queue timeout is reached goes before its client's others, and each priority has
a share.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from headrace_runtime.shapes import FIXED, ShapeKey

from headrace_batcher.decisions.fair_queue import FairQueue, Heap, Line
from headrace_batcher.decisions.policy import TIMER_GRAIN_S, Cut, Group, Waiting
from headrace_batcher.decisions.priority import QUIET_S, Callers, Credits
from headrace_batcher.decisions.work import ONLINE, PRIORITIES, QUEUED, SHADOW, TAKEN, Work

NOTHING = Waiting(None, None, None)
# Weight of the latest batch in what is usual.
_USUAL = 0.1


class _Waiting:
    """What waits at one priority: its clients, its requests by when their wait is used up, its full groups."""

    __slots__ = ("by_act_by", "clients", "full")

    def __init__(self) -> None:
        self.clients = FairQueue()
        self.by_act_by = Heap()
        self.full: dict[ShapeKey, None] = {}


class WorkQueue:
    """What waits for one version. `rows` and `size_bytes` are of everything queued; `full_rows` is a whole batch.

    callers: what is known of ONLINE requests.
    """

    def __init__(self, full_rows: int) -> None:
        self.rows = 0
        self.size_bytes = 0
        self._online_at = -math.inf
        self._online_rows = 0.0
        self._full_rows = full_rows
        self._count = 0
        self._number = 0
        self._priorities = tuple(_Waiting() for _ in PRIORITIES)
        self._online = self._priorities[ONLINE].clients
        self._groups: dict[ShapeKey, tuple[Line, ...]] = {}
        self._by_deadline = Heap()
        self._credits = Credits()

    def __len__(self) -> int:
        return self._count

    @property
    def callers(self) -> Callers:
        """Return what is known of ONLINE requests."""
        return Callers(self._online_at, self._online_rows)

    @property
    def entries(self) -> int:
        """Return how many entries the heaps over all groups hold, the dead ones included."""
        return len(self._by_deadline.entries) + sum(len(one.by_act_by.entries) for one in self._priorities)

    def push(self, work: Work) -> None:
        """Add a request; its `act_by`, `deadline` and `size_bytes` are set."""
        work.state = QUEUED
        self._count += 1
        self._number += 1
        work.number = self._number
        self.rows += work.rows
        self.size_bytes += work.size_bytes
        priority, key = work.priority, work.key
        if priority == ONLINE:
            self._online_at = work.arrived
        own = self._priorities[priority]
        client = own.clients.add(work)
        lines = self._groups.get(key)
        if lines is None:
            lines = self._groups[key] = tuple(Line() for _ in PRIORITIES)
        line = lines[priority]
        line.push(work, client)
        if line.rows >= self._full_rows:
            own.full[key] = None
        own.by_act_by.push(work.act_by, work, self._count)
        if work.deadline < math.inf:
            self._by_deadline.push(work.deadline, work, self._count)

    def remove(self, work: Work) -> None:
        """Take a queued request out; its entries in the heaps die."""
        work.state = TAKEN
        self._count -= 1
        self.rows -= work.rows
        self.size_bytes -= work.size_bytes
        own = self._priorities[work.priority]
        own.clients.remove(work)
        lines = self._groups[work.key]
        line = lines[work.priority]
        line.rows -= work.rows
        if line.rows < self._full_rows:
            own.full.pop(work.key, None)
        # The group of all fixed shapes comes again and again.
        if not line.rows and work.key is not FIXED and not any(other.rows for other in lines):
            del self._groups[work.key]

    def priority_rows(self, priority: int) -> int:
        """Return the rows that wait at a priority."""
        return self._priorities[priority].clients.rows

    def clients(self, priority: int) -> FairQueue:
        """Return the clients of a priority."""
        return self._priorities[priority].clients

    def clear(self) -> list[Work]:
        """Take everything out and return it."""
        everything = [
            work for one in self._priorities for client in one.clients.waiting() for work in client.waiting.values()
        ]
        for work in everything:
            self.remove(work)
        return everything

    def expire(self, now: float) -> list[Work]:
        """Take out every request whose deadline has passed."""
        expired = []
        while (first := self._by_deadline.first()) is not None and first[0] <= now:
            self.remove(first[2])
            expired.append(first[2])
        return expired

    def next_deadline(self) -> float:
        """Return the earliest deadline, infinity when there is none."""
        first = self._by_deadline.first()
        return math.inf if first is None else first[0]

    def snapshot(self, now: float) -> Waiting:
        """Return what the policy decides on."""
        if not self._count:
            return NOTHING
        due = now + TIMER_GRAIN_S
        leading = ONLINE
        if self._below_online():
            leading = next(at for at in PRIORITIES if self._priorities[at].clients.active)
            owed = self._owed(leading, now)
        else:
            owed = None
        if owed is not None:
            group = Group(owed.key, owed.rows + (self._groups[owed.key][ONLINE].rows if leading == ONLINE else 0), owed)
            return Waiting(group, group, None, patient=False, next_act_by=due)
        one = self._priorities[leading]
        urgent, next_act_by = _urgent(one)
        patient = urgent.act_by > due
        # A request whose wait is used up goes first, or those with earlier deadlines could pass it for ever.
        group = self._group(urgent.key, leading, None if patient and leading == ONLINE else urgent)
        full = next(iter(one.full), None)
        return Waiting(
            group,
            group if next_act_by <= due else None,
            None if full is None else self._group(full, leading),
            patient,
            next_act_by,
            online=leading == ONLINE,
        )

    def take(self, cut: Cut, room_beside: Callable[[int], int]) -> list[Work]:
        """Take a batch out: the group's first request, then whatever fits, by priority, client and deadline.

        room_beside: rows that a batch with so many ONLINE rows may have with those of other priorities.
        """
        batch: list[Work] = []
        first, room, online_rows = cut.group.first, cut.rows, 0
        lines = self._groups[cut.group.key]
        others = self._below_online()
        if first is not None and first.state is QUEUED:
            rows = self._take(first, batch)
            room -= rows
            online_rows = rows if first.priority == ONLINE else 0
        if lines[ONLINE].rows and room > 0:
            left = lines[ONLINE].fill(batch, room, self._take)
            online_rows += room - left
            room = left
        if online_rows:
            self._online_rows += _USUAL * (online_rows - self._online_rows)
        if others:
            if online_rows:
                room += room_beside(online_rows) - cut.rows
            elif self._online.active:  # only what is owed goes before those who wait
                room = 0
            for line in lines[SHADOW:]:
                if line.rows and room > 0:
                    room = line.fill(batch, room, self._take)
            served = [sum(work.rows for work in batch if work.priority == at) for at in PRIORITIES]
            self._credits.count(served, [self.priority_rows(at) for at in PRIORITIES])
        return batch

    def _below_online(self) -> bool:
        """Return whether anything waits of the priorities below ONLINE."""
        return self.rows > self._online.rows

    def _take(self, work: Work, batch: list[Work]) -> int:
        """Move a request into a batch, and let its client pay for it; return its rows."""
        self._priorities[work.priority].clients.charge(work)
        self.remove(work)
        batch.append(work)
        return work.rows

    def _owed(self, leading: int, now: float) -> Work | None:
        """Return the request of a lower priority that is to go first now, if any."""
        for at in PRIORITIES[SHADOW:]:
            one = self._priorities[at]
            # Who leads while no caller is waited for has everything.
            if one.clients.active and (at != leading or now < self._online_at + QUIET_S):
                work, _ = _urgent(one)
                if self._credits.rows[at] >= work.rows:
                    return work
        return None

    def _group(self, key: ShapeKey, leading: int, first: Work | None = None) -> Group:
        """Return a group with the rows that its batch is for: what rides beside ONLINE is decided with the batch."""
        lines = self._groups[key]
        if leading == ONLINE:
            return Group(key, lines[ONLINE].rows, first)
        return Group(key, sum(line.rows for line in lines[leading:]), first)


def _urgent(one: _Waiting) -> tuple[Work, float]:
    """Return the client whose turn it is at a priority, and the earliest queue timeout. A request must be queued."""
    earliest = one.by_act_by.first()
    assert earliest is not None
    if one.clients.active == 1:
        return earliest[2], earliest[0]
    return one.clients.next().oldest(), earliest[0]
