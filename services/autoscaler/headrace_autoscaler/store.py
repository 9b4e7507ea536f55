"""What the autoscaler keeps, in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations, load_queries

_SQL = "headrace_autoscaler.sql"
_QUERIES = load_queries(_SQL)


@dataclass(frozen=True, slots=True)
class Origin:
    """Which store this is, and since when."""

    incarnation: UUID
    create_time: datetime


class Store:
    """Every method raises Unavailable while the database cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def migrate(self) -> None:
        """Bring the database to the schema of this code. Raises StartError when it belongs to other code."""
        async with self._connections.alone() as connection:
            await migrate(connection, load_migrations(_SQL))

    async def check(self) -> None:
        """Raise Unavailable unless the database answers and has the schema."""
        await self.origin()

    async def origin(self) -> Origin:
        """Return which store this is."""
        row = await self._connections.repeatable(lambda connection: connection.fetchrow(_QUERIES["origin"]))
        return Origin(row["incarnation"], row["create_time"])
