"""Drives a coroutine without a task: it is resumed when what it waits for is done."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class CoroutineDriver:
    """Drives a coroutine to its end. waits_for: what its first `send` gave.

    A task takes several microseconds to make, to enter and to forget, and a future calls back without one. What needs a
    task all the same, such as `asyncio.timeout`, asks for it by `deadlines.in_a_task`: from then on it runs in one.
    """

    __slots__ = ("_coroutine", "_loop", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine, self._loop = coroutine, loop
        self._wait(waits_for)

    def cancel(self) -> None:
        """Have what it waits for end with CancelledError, as `Task.cancel` does."""
        self._waits_for.cancel()

    def _wait(self, waits_for: Any) -> None:
        if waits_for is None:  # of a bare yield, which only a task understands
            self._waits_for = self._loop.create_task(_rest_of(self._coroutine, waits_for))
        else:
            self._waits_for = waits_for
            waits_for.add_done_callback(self._resume)

    def _resume(self, _waited_for: asyncio.Future[Any]) -> None:
        try:
            self._wait(self._coroutine.send(None))
        except StopIteration:
            pass


@types.coroutine
def resume(coroutine: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """Await a coroutine whose first `send` gave what it waits for."""
    try:
        while True:
            try:
                value = yield waits_for
            except BaseException as error:  # of what it waited for, or because its task was cancelled
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(value)
    except StopIteration as done:
        return done.value


async def _rest_of(coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
    await resume(coroutine, waits_for)
