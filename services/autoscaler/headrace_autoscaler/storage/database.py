"""The database: its schema, and which store it is."""

from __future__ import annotations

from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.postgres.migrated import MigratedDatabase
from headrace_servicekit.postgres.sql import load_queries

_SQL = "headrace_autoscaler.storage.sql"
QUERIES = load_queries(_SQL)


class Database(MigratedDatabase):
    """Connections to a database of this schema. Until it is there, and while it is down, using them is Unavailable."""

    def __init__(self, address: Address, *, size: int) -> None:
        super().__init__(address, owner="autoscaler", size=size, sql=_SQL)

    async def check(self) -> None:
        """Raise Unavailable unless the database answers and has the schema."""
        await self.repeatable(lambda connection: connection.fetchrow(QUERIES["position"]))
