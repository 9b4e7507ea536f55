"""What may execute on one backend: any number of batches of all versions, or one suspected request alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from headrace_servicekit.coordination.wakeup import Wakeup

# Exclusive execution holds up all other batches: wait at most this long for those that already run.
PATIENCE_S = 2.0


class ExecutionGate:
    """The exclusive execution gate of one backend; used from the event loop only. now: monotonic seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._busy_s = 0.0
        self._busy_since = 0.0
        self._turn = asyncio.Lock()
        self._wanting = 0
        self._executing = self._apart = 0
        self._loading = 0
        self._fewer = Wakeup()
        self._wakes: set[Callable[[], None]] = set()

    def join(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever the gate is open again."""
        self._wakes.add(wake)

    def leave(self, wake: Callable[[], None]) -> None:
        """Call it no more."""
        self._wakes.discard(wake)

    @property
    def open(self) -> bool:
        """Return whether batches and loads may begin: no exclusive execution runs or waits."""
        return not self._wanting

    @property
    def empty(self) -> bool:
        """Return whether no batch executes and no version is being loaded."""
        return not self._executing and not self._loading

    def begin(self, *, apart: bool = False) -> None:
        """Count an execution that begins. apart: in a separate process, which does not disturb exclusive executions."""
        if not self._executing + self._apart:
            self._busy_since = self._now()
        if apart:
            self._apart += 1
        else:
            self._executing += 1

    def end(self, *, apart: bool = False) -> None:
        """Count an execution that ended."""
        if apart:
            self._apart -= 1
        else:
            self._executing -= 1
        if not self._executing + self._apart:
            self._busy_s += self._now() - self._busy_since
        self._fewer.wake()

    @property
    def busy_s(self) -> float:
        """Return for how long something has executed since the beginning, however many at a time."""
        return self._busy_s + (self._now() - self._busy_since if self._executing + self._apart else 0.0)

    def begin_loading(self) -> None:
        """Count a version that begins to be loaded."""
        self._loading += 1

    def end_loading(self) -> None:
        """Count one that is not being loaded any more."""
        self._loading -= 1
        self._fewer.wake()

    @asynccontextmanager
    async def exclusive(self, patience_s: float = PATIENCE_S) -> AsyncIterator[bool]:
        """Let no execution begin until the block ends; one block at a time. Yields whether no other execution runs,
        after waiting up to `patience_s` for that.
        """
        self._wanting += 1
        try:
            async with self._turn:
                deadline = time.monotonic() + patience_s
                while not self.empty and time.monotonic() < deadline:
                    await self._fewer.wait(deadline - time.monotonic())
                yield self.empty
        finally:
            self._wanting -= 1
            if self.open:
                for wake in tuple(self._wakes):
                    wake()
