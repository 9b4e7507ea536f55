"""What tests of services share: waiting without sleeping, a clock that they move, free ports, servers on port 0."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import inspect
import itertools
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server
from headrace_servicekit.settings import ServiceSettings

T = TypeVar("T")
S = TypeVar("S", bound=ServiceSettings)


# However many processes want a core: what takes longer than that hangs.
_MOST_PATIENCE = 10.0


def patience(seconds: float) -> float:
    """Return how long a test waits for what takes `seconds` at most where nothing else wants the processors.

    That is longer by the number of processes that want each core just now, up to ten times. A bound in a test is there
    so that what hangs fails; how quick something is, on a machine of its own, is a benchmark's to say.
    """
    return seconds * min(_MOST_PATIENCE, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


async def eventually(condition: Callable[[], T | Awaitable[T]], *, within: float = 5.0, every: float = 0.01) -> T:
    """Return the first true result of `condition` (plain or async). AssertionError after `within` seconds, longer on a
    machine that is busy (`patience`).

    An AssertionError inside the condition means "not yet"; the last one becomes the cause. Other exceptions rise.
    """
    began = time.monotonic()
    last: Any = None
    failed: AssertionError | None = None
    while True:
        try:
            outcome = condition()
            last = await outcome if inspect.isawaitable(outcome) else outcome
            if last:
                return last
            failed = None
        except AssertionError as error:
            failed = error
        if time.monotonic() - began >= patience(within):
            raise AssertionError(f"not so within {within:g} s; last result: {last!r}") from failed
        await asyncio.sleep(every)


class FakeClock:
    """A clock that stands still until `advance`; sleepers wake in the order of their times."""

    def __init__(self, now: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._start = now
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self._elapsed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        await future

    @property
    def sleepers(self) -> int:
        """Return how many tasks sleep on this clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move time on; every sleeper whose time comes runs at its own time, and what it does next counts too."""
        target = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._elapsed = max(self._elapsed, due)
            future.set_result(None)
            await _settle()
        self._elapsed = target
        await _settle()


async def _settle() -> None:
    """Let every task that can run do so until it waits; ten turns are enough for chains of awaits in our loops."""
    for _ in range(10):
        await asyncio.sleep(0)


def free_port() -> int:
    """Return a free port outside the range for port 0. Prefer port 0 where the server reports its port.

    A server may need seconds until it listens. Another process could get a port of the kernel's range by then; these
    are below, and below those of the stacks that tests share. Each process begins elsewhere and takes them in turn.
    """
    for number in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number
    raise AssertionError("every port is taken")


def _ports_in_turn() -> Iterator[int]:
    """Return all of them, over and over."""
    ports = range(10_000, 20_000)
    first = random.SystemRandom().randrange(len(ports))
    return itertools.cycle((*ports[first:], *ports[:first]))


_PORTS = _ports_in_turn()


@asynccontextmanager
async def serving(register: Callable[[Server], object], **options: Any) -> AsyncIterator[Server]:
    """Run a Server on a free port: `async with serving(lambda s: add_XServicer_to_server(x, s)) as server`.

    It is SERVING at once; `server.address` is the target; options are those of Server.
    """
    server = Server(**{"access_log": False, **options})
    register(server)
    await server.start()
    server.health.open()
    try:
        yield server
    finally:
        await server.stop(0)


@asynccontextmanager
async def running(
    name: str, settings: S, start: Callable[[Runtime[S]], Awaitable[object]], *, within: float = 30.0, **options: Any
) -> AsyncIterator[Runtime[S]]:
    """Run a whole service in this process, ready, without signals; `runtime.servers[0].address` is its target.

    What makes the service fail is raised here. Options are those of Runtime (`clock=`).
    """
    runtime = Runtime(name, settings, **options)
    started = asyncio.Event()
    life = asyncio.create_task(runtime.serve(start, started=started))
    waiting = asyncio.create_task(started.wait())
    try:
        await asyncio.wait({life, waiting}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        if not life.done():
            await eventually(lambda: life.done() or runtime.health.ready, within=within)
            if not life.done():
                yield runtime
    finally:
        waiting.cancel()
        runtime.stop()
        await life
