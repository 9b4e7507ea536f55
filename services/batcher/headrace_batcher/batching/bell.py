"""Waking one loop: at once when something happens, or when its time comes."""

from __future__ import annotations

import asyncio
import math
import time


class Bell:
    """One task waits, anybody rings. Rings before the wait are not lost; several rings wake once."""

    __slots__ = ("_rung", "_waiter")

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake the waiting task in the next turn of the event loop, or its next wait at once."""
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, until: float = math.inf) -> None:
        """Return when rung, or when `time.monotonic()` has reached `until`."""
        if self._rung:
            self._rung = False
            return
        delay = until - time.monotonic()
        if delay <= 0:
            # Others run in between, so that a loop whose time has come cannot keep the event loop to itself.
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None if delay == math.inf else loop.call_later(delay, self.ring)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._rung = False
            if timer is not None:
                timer.cancel()
