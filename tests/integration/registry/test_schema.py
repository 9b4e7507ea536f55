"""What the database itself refuses, and migrations run by several replicas at once."""

import asyncio

import asyncpg
import pytest
from headrace_registry.storage.postgres import PostgresStore
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.sql import load_migrations
from headrace_servicekit.runtime import StartError

from tests.kit.registry.service import Registry

APPEND_ONLY = asyncpg.IntegrityConstraintViolationError


@pytest.fixture
async def connection(postgres_url, real: Registry):
    """A connection of somebody who may do everything, beside a registry with one promoted version."""
    await real.register("digits", "v1")
    await real.register("digits", "v2")
    await real.promote("digits", "v1")
    connection = await asyncpg.connect(postgres_url, timeout=10)
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        pytest.param("delete from events", APPEND_ONLY, id="history is not removed"),
        pytest.param("update events set reason = 'x'", APPEND_ONLY, id="history is not rewritten"),
        pytest.param("update versions set metrics = '[]'", APPEND_ONLY, id="versions are immutable"),
        pytest.param("update artifacts set sha256 = sha256", APPEND_ONLY, id="artifacts of versions too"),
        pytest.param(
            "update versions set stage = 'production'", asyncpg.UniqueViolationError, id="two versions in production"
        ),
        pytest.param("delete from blobs", asyncpg.ForeignKeyViolationError, id="a blob that a version names"),
        pytest.param("insert into store default values", asyncpg.UniqueViolationError, id="a second incarnation"),
        pytest.param(
            "insert into aliases values ('digits', 'a', 'v9')", asyncpg.ForeignKeyViolationError, id="alias of nothing"
        ),
    ],
)
async def test_the_database_refuses_what_must_never_be(connection, statement, error):
    with pytest.raises(error):
        await connection.execute(statement)


async def test_replicas_that_start_at_once_migrate_once(postgres_url):
    async with Connections(Address(postgres_url), owner="registry", size=8) as connections:
        stores = [PostgresStore(connections) for _ in range(6)]
        await asyncio.gather(*(store.migrate() for store in stores))
        assert len({(await store.position()).incarnation for store in stores}) == 1
    connection = await asyncpg.connect(postgres_url, timeout=10)
    known = load_migrations("headrace_registry.storage.sql")
    assert await connection.fetchval("select count(*) from migrations") == len(known)
    await connection.close()


async def test_a_database_of_other_code_is_refused(postgres_url):
    async with Connections(Address(postgres_url), owner="registry", size=2) as connections:
        await PostgresStore(connections).migrate()
        connection = await asyncpg.connect(postgres_url, timeout=10)
        await connection.execute("update migrations set checksum = 'other'")
        await connection.close()
        with pytest.raises(StartError, match="other code"):
            await PostgresStore(connections).migrate()
