"""Places at which a test kills or pauses what it drives: before and after each call to the outside.

points = Checkpoints(at=7, act=kill)
lease, actuator = CheckedLease(database, "scale pools", clock, points=points), Through(actuator, points)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.postgres.connections import BEGIN

T = TypeVar("T")


class KilledError(BaseException):
    """The process is gone; whatever catches exceptions does not catch this."""


class Checkpoints:
    """Every call to the outside passes here twice: before it is made, and after it was, before the answer is there.

    at: of which of these (from 0) `act` is done; None for none. count: how many there were.
    """

    def __init__(self, at: int | None = None, act: Callable[[], Awaitable[None]] | None = None) -> None:
        self._at, self._act = at, act
        self.count = 0

    async def passed(self) -> None:
        """Do what is to be done here."""
        number, self.count = self.count, self.count + 1
        if number == self._at and self._act is not None:
            await self._act()


async def kill() -> None:
    """End the process here."""
    raise KilledError


class Through:
    """An object whose async methods pass the checkpoints."""

    def __init__(self, inner: Any, checkpoints: Checkpoints) -> None:
        self._inner, self._checkpoints = inner, checkpoints

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._checkpoints.passed()
            answer = await found(*args, **kwargs)
            await self._checkpoints.passed()
            return answer

        return call


class CheckedLease(LeaderLease):
    """A lease whose transactions pass the checkpoints, before they begin and after they are kept: what dies in between
    has written nothing."""

    def __init__(self, *args: Any, points: Checkpoints, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._points = points

    @asynccontextmanager
    async def transaction(self, *, begin: str = BEGIN, validate_only: bool = False) -> AsyncIterator[Any]:
        await self._points.passed()
        async with super().transaction(begin=begin, validate_only=validate_only) as connection:
            yield connection
        await self._points.passed()

    async def repeatable(self, act: Callable[[Any], Awaitable[T]]) -> T:
        await self._points.passed()
        return await super().repeatable(act)
