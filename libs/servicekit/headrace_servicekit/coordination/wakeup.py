"""Waking loops: at once when something happens, or when the time is up."""

from __future__ import annotations

import asyncio
import math


class Wakeup:
    """Wakes the tasks that wait. Several wake-ups before a wait count as one, and none is lost.

    A loop calls `wait`. Where several tasks wait, each takes `count` before it looks, and waits for what comes `after`.
    """

    __slots__ = ("_taken", "_waiters", "count")

    def __init__(self) -> None:
        self.count = 0
        self._taken = 0
        self._waiters: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        """Wake everybody who waits in the next turn of the event loop, or the next wait at once."""
        self.count += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, within_s: float = math.inf) -> bool:
        """Return True when woken since the last wait, False when the time is up. For the one loop that this wakes."""
        woken = self.count != self._taken or await self.after(self._taken, within_s)
        self._taken = self.count
        return woken

    async def after(self, count: int, within_s: float = math.inf) -> bool:
        """Return True when woken since `count` was read, False when the time is up."""
        if self.count != count:
            return True
        if within_s <= 0:
            # Others run in between, so that a loop whose time has come cannot keep the event loop to itself.
            await asyncio.sleep(0)
            return self.count != count
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        timer = None if within_s == math.inf else loop.call_later(within_s, _end, waiter)
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()
        return self.count != count


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
