"""Telling watchers what changed: a snapshot, then the latest state of each thing that moved on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NoReturn, Protocol, TypeVar
from uuid import UUID

import structlog

from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.fair_share import FairShare, Pool

log = structlog.get_logger()

POLL_S = 1.0
# Watches outlive hiccups of the store, but not its absence: their clients should know, and come back.
PATIENCE_S = 5.0
# States per read: a watcher that is behind holds this many in memory, not everything it has missed.
BATCH = 50


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of all changes of one incarnation of a store, which is another after it was restored."""

    incarnation: UUID
    sequence: int


class Numbered(Protocol):
    """The state of something. sequence: of its last change; states become visible in its order."""

    @property
    def sequence(self) -> int: ...


T = TypeVar("T", bound=Numbered)
T_co = TypeVar("T_co", bound=Numbered, covariant=True)


class Source(Protocol[T_co]):
    """A store whose changes are numbered. Its methods raise Unavailable while it is away."""

    async def position(self) -> Position:
        """Return the place of the last change."""
        ...

    async def changed_since(self, sequence: int, *, limit: int) -> Sequence[T_co]:
        """Return what changed since, as it is now, in the order of the last changes."""
        ...

    def wakes(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed; hints only, some may be lost. Raises when the hints end."""
        ...


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """One message of a watch.

    state: of one resource; None in the message that ends the snapshot. resume: position after this message, for a later
    watch; None within a snapshot, which cannot be resumed.
    """

    state: T | None
    resume: Position | None


async def heed(wakes: Callable[[], AsyncIterator[None]], wake: Callable[[], None]) -> None:
    """Call `wake` at every hint until they end; run it in a `periodic` that restarts it. Without hints polling
    suffices."""
    try:
        async for _ in wakes():
            wake()
    except Unavailable as error:
        log.debug("no hints from the database", problem=str(error))


class ChangeFeed(Generic[T]):
    """How far a store is, for all watchers of this process: asked each second, at once when the store wakes us.

    Keep `run` going, and `listen` in a `periodic`. owner: whose store it is, as callers read it. snapshot: yields
    everything that there is; what changes meanwhile comes again after it.
    """

    def __init__(
        self,
        source: Source[T],
        snapshot: Callable[[], AsyncIterator[T]],
        clock: Clock,
        *,
        owner: str,
        max_watches: int,
        poll_s: float = POLL_S,
    ) -> None:
        self._source, self._snapshot, self._clock, self._owner, self._poll_s = source, snapshot, clock, owner, poll_s
        self._places = FairShare(Pool("watches", max_watches, "TOO_MANY_WATCHES", retry_after_s=5.0))
        self._position: Position | None = None
        self._lost = False
        self._replaced = 0
        self._last_answer = clock.monotonic()
        self._moved, self._wakeup = Wakeup(), Wakeup()

    @property
    def watches(self) -> int:
        """Return how many watches are open."""
        return self._places.used

    async def position(self) -> Position:
        """Return the place of the last change, as the store says it now. Raises Unavailable."""
        return await self._source.position()

    async def listen(self) -> None:
        """Take hints from the store until they end."""
        await heed(self._source.wakes, self._wakeup.wake)

    async def run(self) -> NoReturn:
        """Follow the store for ever."""
        while True:
            await self.poll()
            await self._wakeup.wait(self._poll_s)

    async def poll(self) -> None:
        """Ask the store how far it is, and tell the watchers when that is news."""
        try:
            position = await self._source.position()
        except Unavailable:
            self._lost = self._clock.monotonic() - self._last_answer > PATIENCE_S
            if self._lost:
                self._moved.wake()
            return
        self._last_answer = self._clock.monotonic()
        known = self._position
        if known is not None and (position.incarnation != known.incarnation or position.sequence < known.sequence):
            self._replaced += 1  # also by a backup restored without a new incarnation
        if self._lost or position != known:
            self._position, self._lost = position, False
            self._moved.wake()

    async def watch(self, resume: Position | None, sees: Callable[[T], bool]) -> AsyncIterator[Change[T]]:
        """Yield a snapshot unless `resume` is a position in this store, then changes, for ever.

        A slow consumer costs nothing: states are read when it asks, and two changes meanwhile are sent as one.

        Raises ResourceExhausted when there are too many watches, and Unavailable: reason STORE_LOST when the store has
        not answered for a while, INCARNATION_CHANGED when it became another.
        """
        replaced = self._replaced
        with self._places.place():
            position = await self._source.position()
            if resume is None or resume.incarnation != position.incarnation or resume.sequence > position.sequence:
                # Read before the snapshot, so that what changes meanwhile is later than the position that ends it.
                async for state in self._snapshot():
                    if sees(state):
                        yield Change(state, None)
                yield Change(None, position)
            else:
                position = resume
            while True:
                states = await self._source.changed_since(position.sequence, limit=BATCH)
                for state in states:
                    position = Position(position.incarnation, state.sequence)
                    if sees(state):
                        yield Change(state, position)
                if not states:
                    await self._beyond(position, replaced)

    async def _beyond(self, seen: Position, replaced: int) -> None:
        """Return when the store is further than `seen`. replaced: how often it was when the watch began."""
        while True:
            count, position = self._moved.count, self._position
            if self._lost:
                raise Unavailable(
                    f"the {self._owner} lost its database: resume later", reason="STORE_LOST", retry_after_s=1.0
                )
            if self._replaced != replaced or (position is not None and position.incarnation != seen.incarnation):
                raise Unavailable(
                    f"the {self._owner}'s database was replaced: watch again",
                    reason="INCARNATION_CHANGED",
                    retry_after_s=0.1,
                )
            if position is not None and position.sequence > seen.sequence:
                return
            await self._moved.after(count)
