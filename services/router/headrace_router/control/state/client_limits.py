"""What data planes hold clients to, as they watch it: read every second, whichever control plane changed it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from headrace.router.v1 import client_limits_pb2, control_pb2
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.loops import periodic

from headrace_router.control.messages.rate_limits import to_watched
from headrace_router.control.storage.rate_limits import RateLimitStore

EVERY_S = 1.0

Overruns = Callable[[], Awaitable[Sequence[client_limits_pb2.BudgetOverrun]]]


class ClientLimitFeed:
    """What the store had when it was read last. overruns: finds out who is over budget."""

    def __init__(self, store: RateLimitStore, overruns: Overruns) -> None:
        self._store, self._overruns = store, overruns
        self._changed, self._reading = Wakeup(), asyncio.Lock()
        # None until the store has answered.
        self._known: control_pb2.WatchClientLimitsResponse | None = None

    async def follow(self, migrated: asyncio.Event) -> None:
        """Read the store for ever, once it has this code's schema."""
        await migrated.wait()
        await periodic("client limits", self.read, every_s=EVERY_S)

    async def read(self) -> None:
        """Read the store. Raises Unavailable, and what was known is in force."""
        async with self._reading:  # so that none that began earlier ends later
            self._known = to_watched(await self._store.all(), await self._overruns())
        self._changed.wake()

    async def watch(self, revision: str) -> AsyncIterator[control_pb2.WatchClientLimitsResponse]:
        """Yield what is known, that of a revision excepted, and again after each change."""
        while True:
            read = self._changed.count
            if self._known is not None and self._known.revision != revision:
                revision = self._known.revision
                yield self._known
            await self._changed.after(read)
