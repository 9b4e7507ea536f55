"""Telling watchers of alerts: those that are open, then each as it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.fair_share import FairShare, Pool

from headrace_monitor.alerts.store import AlertStore
from headrace_monitor.alerts.values import AlertView

log = structlog.get_logger()

POLL_S = 1.0
# Watches outlive hiccups of the database, but not its absence: who waits for a freeze should know that none can come.
PATIENCE_S = 5.0
# Alerts per read: a watcher that is behind holds this many in memory, not everything it has missed.
BATCH = 100


class Feed:
    """How far the alerts are, for all watchers of this process: asked each second, at once when the database says."""

    def __init__(self, store: AlertStore, clock: Clock, *, max_watches: int) -> None:
        self._store, self._clock = store, clock
        self._places = FairShare(Pool("watches", max_watches, "TOO_MANY_WATCHES", retry_after_s=5.0))
        self._position: int | None = None
        self._lost = False
        self._era = 0
        self._last_answer = clock.monotonic()
        self._moved = asyncio.Event()
        self._woken = asyncio.Event()

    @property
    def watches(self) -> int:
        """Return how many watches are open."""
        return self._places.used

    async def listen(self) -> None:
        """Take hints from the database until they end. Without them the poll is enough, only later."""
        try:
            async for _ in self._store.wakes():
                self._woken.set()
        except Unavailable as error:
            log.debug("no hints from the database", problem=str(error))

    async def run(self) -> NoReturn:
        """Follow the database for ever."""
        while True:
            await self._poll()
            try:
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def watch(self, concerns: Callable[[AlertView], bool]) -> AsyncIterator[AlertView | None]:
        """Yield the open alerts that concern the caller, then None, then each that changes, as it is then, for ever.

        A consumer that is slow costs nothing: what it has not asked for is not read, and what changed twice meanwhile
        is told once. Raises ResourceExhausted when there are too many, Unavailable when the database has been away.
        """
        era = self._era
        with self._places.place():
            # Read before the open alerts: what changes meanwhile comes again after them.
            seen, last = await self._store.position(), 0
            while page := await self._store.open_after(last, limit=BATCH):
                last = page[-1].alert.id or last
                for one in page:
                    if concerns(one):
                        yield one
            yield None
            while True:
                changed = await self._store.changed_since(seen, limit=BATCH)
                for one in changed:
                    seen = one.sequence
                    if concerns(one):
                        yield one
                if not changed:
                    await self._beyond(seen, era)

    async def _beyond(self, seen: int, era: int) -> None:
        """Return when the alerts are further than `seen`. era: in which that was."""
        while True:
            if self._lost or era != self._era:
                raise Unavailable("the monitor lost its database: watch again", reason="STORE_LOST", retry_after_s=1.0)
            position, moved = self._position, self._moved
            if position is not None and position > seen:
                return
            await moved.wait()

    async def _poll(self) -> None:
        self._woken.clear()
        try:
            position = await self._store.position()
        except Unavailable:
            self._lost = self._clock.monotonic() - self._last_answer > PATIENCE_S
            if self._lost:
                self._tell()
            return
        self._last_answer = self._clock.monotonic()
        if self._position is not None and position < self._position:
            # A database that was restored: who has seen what is no longer there has to begin anew.
            self._era += 1
        moved = self._lost or position != self._position
        self._position, self._lost = position, False
        if moved:
            self._tell()

    def _tell(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
