"""Deadlines of many requests on few timers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

K = TypeVar("K", bound=Hashable)

TICK_S = 0.004


class Deadlines(Generic[K]):
    """A timer wheel: keys that fall due in the same tick share one timer, and most leave before it fires.

    An `asyncio.timeout` per request costs three times as much, and its heap keeps what was answered long ago. A key is
    due at most one tick after its time, never before.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, due: Callable[[K], object]) -> None:
        self._loop, self._due = loop, due
        self._ticks: dict[int, dict[K, None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0

    def __len__(self) -> int:
        return sum(map(len, self._ticks.values()))

    def add(self, key: K, deadline: float) -> int:
        """Watch a key until its deadline on the loop's clock; return the tick, by which it is discarded."""
        tick = int(deadline / TICK_S) + 1
        keys = self._ticks.get(tick)
        if keys is None:
            keys = self._ticks[tick] = {}
            if self._timer is None or tick < self._armed:
                self._arm(tick)
        keys[key] = None
        return tick

    def discard(self, key: K, tick: int) -> None:
        """Forget a key that was answered in time."""
        keys = self._ticks.get(tick)
        if keys is not None:
            keys.pop(key, None)

    def close(self) -> None:
        """Forget all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ticks.clear()

    def _arm(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = tick
        self._timer = self._loop.call_at(tick * TICK_S, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time() + 0.001  # the loop's clock is allowed to fire this much early
        for tick in sorted(self._ticks):
            if tick * TICK_S > now:
                break
            for key in self._ticks.pop(tick):
                try:
                    self._due(key)
                except Exception:  # an error in one callback must not leave the others waiting
                    log.exception("deadline not acted on")
        # Ticks whose keys were all discarded need no timer of their own.
        left = [tick for tick, keys in self._ticks.items() if keys]
        self._ticks = {tick: self._ticks[tick] for tick in left}
        if left and (self._timer is None or min(left) < self._armed):
            self._arm(min(left))


async def in_a_task() -> None:
    """Return in a task, as `asyncio.timeout` needs one: the filter bridge drives a request without."""
    if asyncio.current_task() is None:
        await asyncio.sleep(0)
