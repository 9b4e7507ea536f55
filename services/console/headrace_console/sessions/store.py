"""Sessions in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.migrated import MigratedDatabase
from headrace_servicekit.postgres.sql import load_queries

_SQL = "headrace_console.sessions.sql"
_QUERIES = load_queries(_SQL)

Kind = Literal["session", "sign-in"]


def database(address: Address, size: int) -> MigratedDatabase:
    """Return the connections that the store works on; nothing reads or writes before the schema is there."""
    return MigratedDatabase(address, owner="console", size=size, sql=_SQL)


class LockedSession:
    """A session under a row lock."""

    def __init__(self, connection: Any, digest: bytes, sealed: bytes) -> None:
        self._connection, self._digest = connection, digest
        self.sealed = sealed

    async def replace(self, sealed: bytes) -> None:
        """Keep another content."""
        await self._connection.execute(_QUERIES["replace"], self._digest, sealed)


class SessionStore:
    """Every method raises Unavailable while the database cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def check(self) -> None:
        """Raise Unavailable unless the database answers and has the schema."""
        await self._connections.repeatable(lambda connection: connection.fetchval(_QUERIES["check"]))

    async def put(self, digest: bytes, kind: Kind, sealed: bytes, lifetime: timedelta) -> None:
        """Keep what is new."""
        async with self._connections.transaction() as connection:
            await connection.execute(_QUERIES["put"], digest, kind, sealed, lifetime)

    async def find(self, digest: bytes) -> bytes | None:
        """Return the sealed content of a session; None if it has ended."""
        return await self._connections.repeatable(
            lambda connection: connection.fetchval(_QUERIES["find"], digest, "session")
        )

    async def going_on(self, digests: Sequence[bytes]) -> set[bytes]:
        """Return which of these sessions have not ended."""
        rows = await self._connections.repeatable(lambda connection: connection.fetch(_QUERIES["going_on"], digests))
        return {bytes(row["digest"]) for row in rows}

    @asynccontextmanager
    async def locked(self, digest: bytes) -> AsyncIterator[LockedSession | None]:
        """Yield a session under a row lock, to change it; None if it has ended."""
        async with self._connections.transaction() as connection:
            sealed = await connection.fetchval(_QUERIES["lock"], digest)
            yield None if sealed is None else LockedSession(connection, digest, sealed)

    async def take(self, digest: bytes) -> bytes | None:
        """Return a sign-in that was begun, once."""
        async with self._connections.transaction() as connection:
            return await connection.fetchval(_QUERIES["take"], digest, "sign-in")

    async def remove(self, digest: bytes) -> None:
        """End a session."""
        async with self._connections.transaction() as connection:
            await connection.execute(_QUERIES["remove"], digest)

    async def spend_link(self, link: str, lifetime: timedelta) -> bool:
        """Return whether a one-time link was unused until now."""
        async with self._connections.transaction() as connection:
            return await connection.fetchval(_QUERIES["spend_link"], link, lifetime) is not None

    async def expire(self) -> None:
        """Forget what has expired."""
        async with self._connections.transaction() as connection:
            await connection.execute(_QUERIES["expire"])
            await connection.execute(_QUERIES["expire_links"])
