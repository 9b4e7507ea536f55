"""Streams of what is in force to many watchers: one state in memory, bounded queues, a slow watcher delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from headrace.router.v1 import control_pb2
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import ResourceExhausted, Unavailable

from headrace_router.control.decisions.demand import Wanted

# Messages that a watcher may be behind; each is one change of one route.
QUEUE_LIMIT = 1024


class TableFeed:
    """The tables in force by model, and the watchers that hear of each change in order."""

    def __init__(self) -> None:
        self._current: dict[str, control_pb2.WatchTablesResponse] = {}
        self._queues: dict[asyncio.Queue[control_pb2.WatchTablesResponse | None], str] = {}
        self.incarnation = ""
        self.newest_generation = 0

    @property
    def watching(self) -> frozenset[str]:
        """Return the ids of the data planes that watch here."""
        return frozenset(self._queues.values())

    @property
    def watchers(self) -> int:
        """Return the number of open watches."""
        return len(self._queues)

    def publish(self, model: str, message: control_pb2.WatchTablesResponse) -> None:
        """Put a message in force and send it on. Messages come in the order of their generations."""
        self.incarnation, self.newest_generation = message.incarnation, message.newest_generation
        if message.WhichOneof("change") == "removed_model":
            self._current.pop(model, None)
        else:
            self._current[model] = message
        for queue in list(self._queues):
            if queue.qsize() < QUEUE_LIMIT:
                queue.put_nowait(message)
            else:
                self._drop(queue)

    def reset(self, incarnation: str) -> None:
        """Forget everything because another store has taken over; every watcher begins again."""
        self.incarnation, self.newest_generation = incarnation, 0
        self._current.clear()
        for queue in list(self._queues):
            self._drop(queue)

    async def watch(self, data_plane: str) -> AsyncIterator[control_pb2.WatchTablesResponse]:
        """Yield the whole snapshot, its end, and then every change.

        Raises ResourceExhausted when the watcher fell too far behind or another store took over: it has to begin again.
        """
        queue: asyncio.Queue[control_pb2.WatchTablesResponse | None] = asyncio.Queue()
        snapshot = list(self._current.values())
        end = control_pb2.WatchTablesResponse(
            snapshot_complete=True, incarnation=self.incarnation, newest_generation=self.newest_generation
        )
        self._queues[queue] = data_plane
        try:
            for message in snapshot:
                yield message
            yield end
            while (message := await queue.get()) is not None:
                yield message
        finally:
            self._queues.pop(queue, None)
        raise ResourceExhausted("the watch fell behind: start it again", reason="WATCH_BEHIND", retry_after_s=0.1)

    def _drop(self, queue: asyncio.Queue[control_pb2.WatchTablesResponse | None]) -> None:
        del self._queues[queue]
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


class DemandFeed:
    """The demand on each pool that is watched. A watcher gets the newest state, not every state."""

    def __init__(
        self,
        compute: Callable[[str], tuple[Wanted, ...]],
        message: Callable[[tuple[Wanted, ...]], control_pb2.WatchDemandResponse],
    ) -> None:
        self._compute, self._message = compute, message
        self._current: dict[str, tuple[tuple[Wanted, ...] | None, control_pb2.WatchDemandResponse]] = {}
        self._watchers: dict[str, int] = {}
        self._changed = Wakeup()

    @property
    def watchers(self) -> int:
        """Return the number of open watches."""
        return sum(self._watchers.values())

    def refresh(self) -> None:
        """Compute the demand on every watched pool and send what changed."""
        changed = False
        for pool in self._watchers:
            wanted = self._compute(pool)
            if pool not in self._current or wanted != self._current[pool][0]:
                self._current[pool], changed = (wanted, self._message(wanted)), True
        if changed:
            self._changed.wake()

    def reset(self) -> None:
        """Send everything again at the next refresh: another store has taken over."""
        self._current = {pool: (None, message) for pool, (_, message) in self._current.items()}

    async def watch(self, pool: str) -> AsyncIterator[control_pb2.WatchDemandResponse]:
        """Yield the demand on a pool now and whenever it changed."""
        self._watchers[pool] = self._watchers.get(pool, 0) + 1
        self.refresh()
        sent = None
        try:
            while True:
                count = self._changed.count
                if self._current[pool] is not sent:
                    sent = self._current[pool]
                    yield sent[1]
                else:
                    await self._changed.after(count)
        finally:
            self._watchers[pool] -= 1
            if not self._watchers[pool]:
                del self._watchers[pool], self._current[pool]


def not_loaded() -> Unavailable:
    """Return the error of a control plane that has not read its store yet."""
    return Unavailable("the router's control plane is starting", reason="STARTING", retry_after_s=1.0)
