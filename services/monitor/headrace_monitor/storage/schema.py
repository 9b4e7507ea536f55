"""Bringing the database to the schema of this code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import BEGIN, RETRY_AFTER_S, Address, Connections, Transactions
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations

T = TypeVar("T")

REASON = "STORE_UNAVAILABLE"

_SQL = "headrace_monitor.storage.sql"


class Database(Connections):
    """Connections to a database of this schema. Until it is there, and while it is down, using them is Unavailable.

    there: set once the schema is.
    """

    def __init__(self, address: Address, *, size: int) -> None:
        super().__init__(address, owner="monitor", size=size, reason=REASON)
        self.there = asyncio.Event()

    async def migrate(self) -> None:
        """Bring the database to the schema of this code. Raises Unavailable and StartError."""
        async with self.alone() as connection:
            await migrate(connection, load_migrations(_SQL))
        self.there.set()

    @asynccontextmanager
    async def transaction(self, *, begin: str = BEGIN) -> AsyncIterator[Any]:
        self._check_there()
        async with super().transaction(begin=begin) as connection:
            yield connection

    async def repeatable(self, act: Callable[[Any], Awaitable[T]]) -> T:
        self._check_there()
        return await super().repeatable(act)

    def _check_there(self) -> None:
        if not self.there.is_set():
            message = "the monitor has not reached its database yet"
            raise Unavailable(message, reason=REASON, retry_after_s=RETRY_AFTER_S)


async def passed(database: Transactions, now: datetime) -> datetime:
    """Return a time that has passed by our clock and by the database's, for what is removed because it is old.

    now: by our clock. One that runs ahead must not take away what nobody can bring back.
    """
    return min(now, await database.repeatable(lambda connection: connection.fetchval("select clock_timestamp()")))


async def check(database: Database) -> None:
    """Raise Unavailable while the database does not answer."""
    async with database.transaction() as connection:
        await connection.fetchval("select incarnation from store")


async def renew_incarnation(database: Database) -> str:
    """Make this another store than it was, after a backup was put in its place, and return its incarnation."""
    async with database.transaction() as connection:
        return str(await connection.fetchval("update store set incarnation = gen_random_uuid() returning incarnation"))
