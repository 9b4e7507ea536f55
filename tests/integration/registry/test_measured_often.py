"""Queries on a version on which very much was measured: they read what they tell, not everything before it."""

import json

import asyncpg
import pytest
from headrace_servicekit.postgres.sql import load_queries

from tests.kit.registry.service import Registry

MEASUREMENTS = 80_000
# A page of PostgreSQL has 8 KiB; all rows of a version and their index take thousands.
FEW_PAGES = 200


@pytest.fixture
async def often_measured(postgres_url, real: Registry):
    """A connection to a registry whose version v1 was measured 20,000 times by each of four processes."""
    await real.register("digits", "v1")
    connection = await asyncpg.connect(postgres_url, timeout=10)
    await connection.execute(
        """insert into measurements (model, version, name, value, source_process, create_time)
        select 'digits', 'v1', 'metric_' || n / 4 % 3, n, 'process-' || n % 4, now()
        from generate_series(1, $1::int) as n""",
        MEASUREMENTS,
    )
    await connection.execute("vacuum analyze measurements")
    yield connection
    await connection.close()


async def test_of_a_version_that_was_measured_often_queries_read_few_pages_and_tell_the_last_values(often_measured):
    queries = load_queries("headrace_registry.storage.sql")
    for query, arguments in (
        ("version", ("digits", "v1")),
        ("versions", ("digits", None, 50, None)),
        ("versions_of_models", (["digits"],)),
        ("last_measured_by", ("digits", "v1", "process-1")),
    ):
        explained = "explain (analyze, buffers, format json) " + queries[query]
        (plan,) = json.loads(await often_measured.fetchval(explained, *arguments))
        read = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        assert read < FEW_PAGES, query
    row = await often_measured.fetchrow(queries["version"], "digits", "v1")
    last = {f"metric_{name}": max(n for n in range(1, MEASUREMENTS + 1) if n // 4 % 3 == name) for name in range(3)}
    assert dict(json.loads(row["measured"])) == last
