"""Bounded pools that one client cannot fill: a share of the places for each, and turns for those who wait.

A client is the subject of its token. Calls from inside are counted but have no share: the bound alone holds for them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.identity import Identity, identity


@dataclass(frozen=True, slots=True)
class Pool:
    """The bound on something that many clients use at once.

    name: plural, as callers read it ("uploads"). reason: of the refusal when every place is taken; a client that has
    its share is refused with `share_reason`.
    """

    name: str
    places: int
    reason: str
    retry_after_s: float

    @property
    def share_reason(self) -> str:
        """Return the refusal's reason for a client that has its share."""
        return f"{self.reason}_OF_CLIENT"

    def admit(self, used: int, held: int, caller: Identity) -> None:
        """Return if the caller may take one more place. used: places taken by all callers. held: those of this caller.

        A caller may hold as many as are free after that: alone it gets half, and the next caller finds a place
        (Choudhury and Hahne, "Dynamic queue length thresholds", 1998). Raises ResourceExhausted.
        """
        free = self.places - used
        if free <= 0:
            raise self.full()
        if not caller.internal and held >= free:
            raise ResourceExhausted(
                f"this client has {held} of {self.places} places for {self.name}, and {free} are left for everybody: "
                "end one of them, or try again",
                reason=self.share_reason,
                metadata={"pool": self.name, "held": str(held), "places": str(self.places)},
                retry_after_s=self.retry_after_s,
            )

    def full(self) -> ResourceExhausted:
        """Return the error for a pool without a free place."""
        return ResourceExhausted(
            f"all {self.places} places for {self.name} are taken: try again",
            reason=self.reason,
            retry_after_s=self.retry_after_s,
        )


class FairShare:
    """The places of a pool in this process, and who holds them."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.used = 0
        self._held: dict[tuple[str, bool], int] = {}

    def held(self, caller: Identity) -> int:
        """Return how many places a caller holds."""
        return self._held.get((caller.client, caller.internal), 0)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for the present caller. Raises ResourceExhausted instead of waiting."""
        caller = identity()
        self.enter(caller)
        try:
            yield
        finally:
            self.leave(caller)

    def enter(self, caller: Identity) -> None:
        """Take a place; `leave` gives it back. Raises ResourceExhausted."""
        held = self.held(caller)
        self.pool.admit(self.used, held, caller)
        self.used += 1
        self._held[caller.client, caller.internal] = held + 1

    def leave(self, caller: Identity) -> None:
        """Give a place back."""
        key = (caller.client, caller.internal)
        self.used -= 1
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]


class FairTurns:
    """A semaphore that clients wait for in turns: a client with a thousand requests delays itself, not others.

    A client may take any number of places while no other waits, so one client alone loses nothing.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        # The client that is first here is served next; then it goes to the end.
        self._waiting: OrderedDict[tuple[str, bool], deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, caller: Identity | None = None, *, within_s: float | None = None) -> AsyncIterator[None]:
        """Hold a place, when it is the caller's turn; None: the present one. Raises TimeoutError after `within_s`."""
        async with asyncio.timeout(within_s):
            await self._enter(identity() if caller is None else caller)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, caller: Identity) -> None:
        if self._free > 0:  # then no client waits
            self._free -= 1
            return
        key = (caller.client, caller.internal)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # it was this caller's turn, and it left in that moment
                self._leave()
            else:
                self._forget(key, turn)
            raise

    def _leave(self) -> None:
        """Hand the place on to the next client that waits."""
        while self._waiting:
            key, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[key] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _forget(self, key: tuple[str, bool], turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(key)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[key]
