"""Bringing the database to the schema of this code."""

from __future__ import annotations

from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations

_SQL = "headrace_monitor.storage.sql"


async def prepared(connections: Connections) -> bool:
    """Bring the database to the schema of this code; return False while it cannot be reached. Raises StartError."""
    try:
        async with connections.alone() as connection:
            await migrate(connection, load_migrations(_SQL))
    except Unavailable:
        return False
    return True


async def check(connections: Connections) -> None:
    """Raise Unavailable while the database does not answer."""
    async with connections.transaction() as connection:
        await connection.fetchval("select incarnation from store")
