"""The grpc.aio channel to a target, reopened when the target's replicas change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from headrace_servicekit.endpoints import endpoints_of

log = structlog.get_logger()

# For a channel to replicas that have come, before those that are known are called a while longer.
CONNECT_S = 3.0


class Link:
    """One grpc.aio channel. It is closed once it is no longer used and nothing is in flight on it."""

    __slots__ = ("_close", "_counts", "_in_flight", "inner", "is_retired")

    def __init__(self, inner: Any, close: Callable[[Link], None], *, counts: bool) -> None:
        self.inner, self._close, self._counts = inner, close, counts
        self._in_flight, self.is_retired = 0, False

    def begun(self, call: Any) -> None:
        """Note a call that was made on this channel."""
        if self._counts:
            self._in_flight += 1
            call.add_done_callback(self._ended)

    def retire(self) -> None:
        """Close this channel when the last call has ended: closing it earlier would cancel calls."""
        self.is_retired = True
        if not self._in_flight:
            self._close(self)

    def _ended(self, _call: object) -> None:
        self._in_flight -= 1
        if self.is_retired and not self._in_flight:
            self._close(self)


class Links:
    """The channel to a target's replicas as they are. It looks for others while calls are made, and does nothing else.

    connect: opens a channel to a target of gRPC.
    """

    def __init__(self, target: str, connect: Callable[[str], Any]) -> None:
        self._target, self._connect = target, connect
        self._endpoints = endpoints_of(target)
        self._known = None if self._endpoints is None else self._endpoints.first()
        present = target if self._endpoints is None else self._endpoints.target(self._known)
        self._link = self._open(connect(present))
        self._retired: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._looks_at, self._is_lost, self._is_closed = 0.0, False, False

    def current(self) -> Link:
        """Return the channel for a call that begins now."""
        if self._endpoints is not None:
            self._look_sometimes(self._endpoints.every_s)
        return self._link

    async def close(self, grace_s: float | None) -> None:
        """Close all; calls in flight get some seconds."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(link.inner.close(grace_s) for link in (self._link, *self._retired)))

    def _look_sometimes(self, every_s: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # a stub that is made before there is a loop
        if loop.time() >= self._looks_at and not self._is_closed:
            self._looks_at = float("inf")  # one look at a time
            self._begin(self._look_once(every_s), f"replicas of {self._target}")

    async def _look_once(self, every_s: float) -> None:
        try:
            await self._look()
            self._is_lost = False
        except (OSError, ValueError) as error:
            if not self._is_lost:
                log.warning("replicas cannot be looked up: those that are known are called", error=str(error))
            self._is_lost = True
        finally:
            self._looks_at = asyncio.get_running_loop().time() + every_s

    async def _look(self) -> None:
        assert self._endpoints is not None
        found, known = await self._endpoints.look(), self._known
        if known is None or not self._endpoints.needs_anew(known, found):
            self._known = found
            return
        inner = self._connect(self._endpoints.target(found))
        try:
            async with asyncio.timeout(CONNECT_S):
                await inner.channel_ready()
        except BaseException as error:
            await inner.close()
            if not isinstance(error, TimeoutError):
                raise
            return  # none of them answers yet: asked again at the next look
        log.info("replicas changed", target=self._target, replicas=sorted(found))
        before, self._link, self._known = self._link, self._open(inner), found
        self._retired.add(before)
        before.retire()

    def _open(self, inner: Any) -> Link:
        return Link(inner, self._close, counts=self._endpoints is not None)

    def _close(self, link: Link) -> None:
        self._retired.discard(link)
        if not self._is_closed:
            self._begin(link.inner.close(), f"close {self._target}")

    def _begin(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
