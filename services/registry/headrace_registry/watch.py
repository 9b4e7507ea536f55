"""Telling watchers what changed: a snapshot, then the latest state of each model that moved on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.fair_share import FairShare, Pool

from headrace_registry.storage.store import ModelState, Store
from headrace_registry.tokens import Position

log = structlog.get_logger()

POLL_S = 1.0
# Watches outlive hiccups of the store, but not its absence: their clients should know, and come back with their token.
PATIENCE_S = 5.0
# Models per read: a watcher that is behind holds this many states in memory, not everything it has missed.
BATCH = 50


@dataclass(frozen=True, slots=True)
class Seen:
    """One message of a watch.

    state: of one model; None in the message that ends the snapshot. resume: where a watch goes on that saw this
    message; None within a snapshot, which has to begin anew.
    """

    state: ModelState | None
    resume: Position | None


class Feed:
    """How far the store is, for all watchers of this process: asked each second, at once when the store wakes us."""

    def __init__(self, store: Store, clock: Clock, *, max_watches: int, poll_s: float = POLL_S) -> None:
        self._store, self._clock, self._poll_s = store, clock, poll_s
        self._places = FairShare(Pool("watches", max_watches, "TOO_MANY_WATCHES", retry_after_s=5.0))
        self._position: Position | None = None
        self._lost = False
        self._last_answer = clock.monotonic()
        self._moved = asyncio.Event()
        self._woken = asyncio.Event()

    @property
    def watches(self) -> int:
        """Return how many watches are open."""
        return self._places.used

    async def listen(self) -> None:
        """Take hints from the store until they end. Without them the poll is enough, only later."""
        try:
            async for _ in self._store.wakes():
                self._woken.set()
        except Unavailable as error:
            log.debug("no hints from the store", problem=str(error))

    async def run(self) -> None:
        """Follow the store for ever."""
        while True:
            await self.poll()
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def poll(self) -> None:
        """Ask the store how far it is, and tell the watchers when that is news."""
        self._woken.clear()
        try:
            position = await self._store.position()
        except Unavailable:
            self._lost = self._clock.monotonic() - self._last_answer > PATIENCE_S
            if self._lost:
                self._tell()
            return
        self._last_answer = self._clock.monotonic()
        if self._lost or position != self._position:
            self._position, self._lost = position, False
            self._tell()

    async def beyond(self, seen: Position) -> None:
        """Return when the store is further than `seen`.

        Raises Unavailable when it has not answered for a while, or when it became another store.
        """
        while True:
            if self._lost:
                raise Unavailable("the registry lost its store: resume later", reason="STORE_LOST", retry_after_s=1.0)
            position, moved = self._position, self._moved
            if position is not None and position.incarnation != seen.incarnation:
                raise Unavailable(
                    "the registry's store was replaced: watch again", reason="INCARNATION_CHANGED", retry_after_s=0.1
                )
            if position is not None and position.sequence > seen.sequence:
                return
            await moved.wait()

    async def watch(self, resume: Position | None, sees: Callable[[str], bool]) -> AsyncIterator[Seen]:
        """Yield a snapshot unless `resume` is a position in this store, then changes, for ever.

        A consumer that is slow costs nothing: what it has not asked for is not read, and what changed twice meanwhile
        is told once. Raises ResourceExhausted when there are too many watches, Unavailable as `beyond` does.
        """
        with self._places.place():
            position = await self._store.position()
            if resume is None or resume.incarnation != position.incarnation or resume.sequence > position.sequence:
                async for state in self._snapshot(sees):
                    yield Seen(state, None)
                yield Seen(None, position)
            else:
                position = resume
            while True:
                states = await self._store.changed_since(position.sequence, limit=BATCH)
                for state in states:
                    position = Position(position.incarnation, state.sequence)
                    if sees(state.model.name):
                        yield Seen(state, position)
                if not states:
                    await self.beyond(position)

    async def _snapshot(self, sees: Callable[[str], bool]) -> AsyncIterator[ModelState]:
        """Yield every model. The pages are read one after the other, all of them later than the position that the
        snapshot ends with: what changes meanwhile comes again after it."""
        after = ""
        while states := await self._store.states(after=after, limit=BATCH):
            after = states[-1].model.name
            for state in states:
                if sees(state.model.name):
                    yield state

    def _tell(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
