"""What an ASGI server and an app exchange, and how each kind of server tells that a client has disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from headrace_router.data.transports.coroutine_driver import resume

T = TypeVar("T")

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# A client that leaves is noticed this late: what it asked for is withdrawn from the batcher then.
SWEEP_S = 0.1
# At most so many requests are asked about in one step of the loop.
SWEEP_STEP = 256


class ClientGone(Exception):
    """The client closed its connection before it was answered."""


class DisconnectDetection(Protocol):
    """Awaits an answer for as long as its client is connected."""

    def unless_disconnected(self, answer: Coroutine[Any, Any, T], receive: Receive) -> Awaitable[T]:
        """Return the answer, or cancel it and raise ClientGone when the client leaves first."""
        ...


class AwaitedDisconnects:
    """For servers whose `receive` blocks until the client leaves, as ASGI says that it should."""

    async def unless_disconnected(self, answer: Coroutine[Any, Any, T], receive: Receive) -> T:
        """Return the answer, or cancel it and raise ClientGone when the client leaves first."""
        answering = asyncio.ensure_future(answer)
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return answering.result()
            raise ClientGone
        finally:
            for task in (answering, leaving):
                if not task.done():
                    task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
            del answering, leaving, task  # one holds an error whose traceback holds this frame


class PolledDisconnects:
    """For servers whose `receive` answers at once whether the client is still there: all are asked now and then.

    No task and no timer per request. What is answered without waiting, as from memory, is not even noted.
    """

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Task[Any], Receive] = {}
        self._left: set[asyncio.Task[Any]] = set()

    async def unless_disconnected(self, answer: Coroutine[Any, Any, T], receive: Receive) -> T:
        """Return the answer, or cancel it and raise ClientGone when the client leaves first."""
        try:
            waits_for = answer.send(None)
        except StopIteration as done:
            return done.value
        task = asyncio.current_task()
        assert task is not None, "requests are served in tasks"
        self._waiting[task] = receive
        try:
            return await resume(answer, waits_for)
        except asyncio.CancelledError:
            if task not in self._left:
                raise
            task.uncancel()
            raise ClientGone from None
        finally:
            del self._waiting[task]
            self._left.discard(task)

    async def sweep(self) -> None:
        """Ask about all that wait, and stop the requests of those who left. For `periodic`."""
        for number, (task, receive) in enumerate(list(self._waiting.items()), 1):
            if number % SWEEP_STEP == 0:
                await asyncio.sleep(0)
            if task not in self._waiting or task in self._left:
                continue
            if (await receive())["type"] == "http.disconnect" and task in self._waiting:
                self._left.add(task)
                task.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
