"""Bringing the database to the schema of this code."""

from __future__ import annotations

from datetime import datetime

from headrace_servicekit.postgres.connections import Address, Transactions
from headrace_servicekit.postgres.migrated import MigratedDatabase

REASON = "STORE_UNAVAILABLE"


class Database(MigratedDatabase):
    """Connections to a database of this schema. Until it is there, and while it is down, using them is Unavailable."""

    def __init__(self, address: Address, *, size: int) -> None:
        super().__init__(address, owner="monitor", size=size, sql="headrace_monitor.storage.sql", reason=REASON)


async def passed(database: Transactions, now: datetime) -> datetime:
    """Return the earlier of our clock and the database's, for the removal of old data.

    now: by our clock. A clock that runs ahead must not remove data too early.
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
