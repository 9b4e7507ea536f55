"""One of several replicas leads: by a lease on the database's clock, and a fence that each of its writes carries."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import structlog

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Aborted, Unavailable
from headrace_servicekit.loops import delay_s, end_if_cancelled
from headrace_servicekit.postgres.connections import BEGIN, Transactions
from headrace_servicekit.postgres.sql import load_queries

log = structlog.get_logger()

T = TypeVar("T")

_SQL = load_queries("headrace_servicekit.coordination.sql")

# A leader that died is followed after LEASE, of which it renews the rest after a share; one that stops releases it.
LEASE = timedelta(seconds=10)
RENEW_SHARE = 0.3
LOOK_EVERY_S = 2.0
MAX_BACKOFF_S = 30.0


class LeaderLease:
    """The lease of one work in a database that has `sql/leader_leases.sql`.

    `lead` does the work while this process leads. What a leader writes goes through `transaction`: it is refused once
    another process leads, so a leader that resumes after a pause changes nothing. The fence alone decides: an expired
    lease stays valid until another process takes it, and only the database's clock counts.
    """

    def __init__(self, connections: Transactions, name: str, clock: Clock, *, lease: timedelta = LEASE) -> None:
        self._connections, self._name, self._clock, self._lease = connections, name, clock, lease
        self._holder = uuid.uuid4()
        self.fence: int | None = None
        """The number of this leadership, higher than that of each before; None while another process leads."""

    async def lead(self, step: Callable[[], Awaitable[bool]], *, every_s: float) -> NoReturn:
        """Run `step` again and again while this process leads; wait while another one does. For ever.

        step: returns whether there is more to do at once. One that fails gives the lease up, with back-off.
        """
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(self._keep_renewing(), name=f"renew the lease of {self._name}")
            try:
                await self._lead(step, every_s)
            finally:
                renewing.cancel()
        raise AssertionError("unreachable")

    async def acquire(self) -> bool:
        """Return whether this process leads from now on. Raises Unavailable."""
        self.fence = await self._fetchval("acquire", self._name, self._holder, self._lease)
        return self.fence is not None

    async def renew(self) -> None:
        """Lead for longer, if this process leads. Raises Unavailable."""
        fence = self.fence
        renewed = await self._fetchval("renew", self._name, self._holder, fence, self._lease)
        if renewed is None and self.fence == fence:
            self.fence = None

    async def release(self) -> None:
        """Let another replica lead at once. Raises Unavailable: it leads after the lease then."""
        fence, self.fence = self.fence, None
        if fence is not None:
            await self._fetchval("release", self._name, self._holder, fence)

    @asynccontextmanager
    async def transaction(self, *, begin: str = BEGIN, validate_only: bool = False) -> AsyncIterator[Any]:
        """Lend a transaction in which this process leads to the end. Raises Aborted, reason NOT_LEADING."""
        fence = self.fence
        if fence is None:
            raise self._not_leading()
        async with self._connections.transaction(begin=begin, validate_only=validate_only) as connection:
            if await connection.fetchval(_SQL["check_fence"], self._name, self._holder, fence) is None:
                if self.fence == fence:
                    self.fence = None
                raise self._not_leading()
            yield connection

    async def repeatable(self, act: Callable[[Any], Awaitable[T]]) -> T:
        """Run what only reads and return its result."""
        return await self._connections.repeatable(act)

    async def _lead(self, step: Callable[[], Awaitable[bool]], every_s: float) -> NoReturn:
        failures = 0
        while True:
            try:
                if not await self.acquire():
                    await self._clock.sleep(LOOK_EVERY_S)
                    continue
                log.info("leading", work=self._name, fence=self.fence)
                while self.fence is not None:
                    more = await step()
                    failures = 0
                    if not more:
                        await self._clock.sleep(every_s)
                log.warning("not leading any more", work=self._name)
                continue
            except Unavailable as error:
                failures += 1
                log.log(30 if failures == 1 else 10, "work is late", work=self._name, reason=error.public_message)
            except Exception:
                failures += 1
                log.warning("work failed", work=self._name, failures=failures, exc_info=failures == 1)
            finally:
                with suppress(Unavailable):
                    await self.release()
            end_if_cancelled()
            draw = random.random()
            await self._clock.sleep(
                delay_s(failures, every_s=every_s, max_backoff_s=MAX_BACKOFF_S, jitter=0.2, draw=draw)
            )

    async def _keep_renewing(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._lease.total_seconds() * RENEW_SHARE)
            if self.fence is not None:
                with suppress(Unavailable):  # the fence protects what is written meanwhile
                    await self.renew()

    async def _fetchval(self, query: str, *arguments: Any) -> Any:
        async with self._connections.transaction() as connection:
            return await connection.fetchval(_SQL[query], *arguments)

    def _not_leading(self) -> Aborted:
        return Aborted(f"another replica leads '{self._name}'", reason="NOT_LEADING")
