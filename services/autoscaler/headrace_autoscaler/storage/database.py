"""The database: its schema, and which store it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import BEGIN, RETRY_AFTER_S, Address, Connections
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations, load_queries

T = TypeVar("T")

_SQL = "headrace_autoscaler.storage.sql"
QUERIES = load_queries(_SQL)


class Database(Connections):
    """Connections to a database of this schema. Until it is there, and while it is down, using them is Unavailable."""

    def __init__(self, address: Address, *, size: int) -> None:
        super().__init__(address, owner="autoscaler", size=size)
        self._there = asyncio.Event()

    async def migrate(self) -> None:
        """Bring the database to the schema of this code. Raises StartError when it belongs to other code."""
        async with self.alone() as connection:
            await migrate(connection, load_migrations(_SQL))
        self._there.set()

    async def check(self) -> None:
        """Raise Unavailable unless the database answers and has the schema."""
        await self.repeatable(lambda connection: connection.fetchrow(QUERIES["position"]))

    @asynccontextmanager
    async def transaction(self, *, begin: str = BEGIN) -> AsyncIterator[Any]:
        self._check_there()
        async with super().transaction(begin=begin) as connection:
            yield connection

    async def repeatable(self, act: Callable[[Any], Awaitable[T]]) -> T:
        self._check_there()
        return await super().repeatable(act)

    def _check_there(self) -> None:
        if not self._there.is_set():
            raise Unavailable("the autoscaler has not reached its database yet", retry_after_s=RETRY_AFTER_S)
