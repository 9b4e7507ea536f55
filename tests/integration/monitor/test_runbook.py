"""What docs/operations.md tells people to ask the monitor's database can be asked of it."""

from __future__ import annotations

import re

import asyncpg
from headrace_monitor.storage import schema
from headrace_servicekit.postgres.connections import Address

from tests.kit.deployment.topology import CHECKOUT


async def test_statements_of_the_runbook_are_ones_that_the_database_takes(postgres_url):
    page = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")
    statements = re.findall(r"`((?:select|delete) [^`]*)`", page)
    assert len(statements) >= 4
    async with schema.Database(Address(postgres_url), size=1) as database:
        await database.migrate()
    connection = await asyncpg.connect(postgres_url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
