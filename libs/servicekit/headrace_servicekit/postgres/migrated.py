"""A database of one schema: nothing reads or writes it before that is there."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from headrace_servicekit.commands import Command, Document
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import BEGIN, RETRY_AFTER_S, Address, Connections
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations

T = TypeVar("T")


class MigratedDatabase(Connections):
    """Connections to a database of a schema. Until it is there, and while it is down, using them is Unavailable.

    sql: the package with the migrations. there: set once the schema is.
    """

    def __init__(
        self, address: Address, *, owner: str, size: int, sql: str, reason: str = "DATABASE_UNAVAILABLE"
    ) -> None:
        super().__init__(address, owner=owner, size=size, reason=reason)
        self._sql = sql
        self._absence = Unavailable(
            f"the {owner} has not reached its database yet", reason=reason, retry_after_s=RETRY_AFTER_S
        )
        self.there = asyncio.Event()

    async def migrate(self) -> None:
        """Bring the database to the schema of this code. Raises Unavailable and StartError."""
        async with self.alone() as connection:
            await migrate(connection, load_migrations(self._sql))
        self.there.set()

    @asynccontextmanager
    async def transaction(self, *, begin: str = BEGIN, validate_only: bool = False) -> AsyncIterator[Any]:
        self._check_there()
        async with super().transaction(begin=begin, validate_only=validate_only) as connection:
            yield connection

    async def repeatable(self, act: Callable[[Any], Awaitable[T]]) -> T:
        self._check_there()
        return await super().repeatable(act)

    def _check_there(self) -> None:
        if not self.there.is_set():
            raise self._absence


def migrate_command(database: Callable[..., MigratedDatabase]) -> Command[Any]:
    """Return the command `migrate`, which does what a service does to its database at its start.

    database: returns it, of an address and `size` connections.
    """

    async def act(settings: Any, options: argparse.Namespace) -> Document:
        async with database(Address.of(settings), size=2) as opened:
            await opened.migrate()
        return {"database": "has the schema of this version"}

    return Command("migrate", "bring the database to this version's schema", act)
