"""A database of the first release becomes one of this release, and the first release may still write to it."""

import asyncpg
from headrace_router.control.storage.postgres import PostgresStore
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.migrations import migrate
from headrace_servicekit.postgres.sql import load_migrations

INSERT = """insert into changes (id, model, kind, client, reason, change, begun_at)
values (gen_random_uuid(), 'digits', 'write', 'ana', $1, '{}', timestamptz '2030-01-01' + $2 * interval '1 second')"""


async def test_the_history_that_is_there_is_numbered_by_its_times_and_goes_on(second_postgres_url: str):
    connection = await asyncpg.connect(second_postgres_url, timeout=10)
    try:
        first = load_migrations("headrace_router.control.storage.sql")[:1]
        await migrate(connection, first)
        for reason, second in (("third", 3), ("first", 1), ("second", 2)):
            await connection.execute(INSERT, reason, second)
        async with PostgresStore(Connections(Address(second_postgres_url), owner="router", size=2)) as store:
            await store.migrate()
        await connection.execute(INSERT, "by the old code", 0)
        rows = await connection.fetch("select reason, number from changes order by number")
        assert [(row["reason"], row["number"]) for row in rows] == [
            ("first", 1),
            ("second", 2),
            ("third", 3),
            ("by the old code", 4),
        ]
    finally:
        await connection.close()
