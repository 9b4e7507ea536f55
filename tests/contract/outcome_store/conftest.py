"""Every store of outcomes: the same tests on memory and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest
from headrace_monitor.record.outcomes.postgres import PostgresOutcomes
from headrace_monitor.record.outcomes.store import OutcomeStore
from headrace_monitor.storage.schema import Database
from headrace_servicekit.postgres.connections import Address

from tests.kit.monitor.memory_outcomes import MemoryOutcomes


@pytest.fixture
def memory_outcomes() -> OutcomeStore:
    return MemoryOutcomes()


@pytest.fixture
async def postgres_outcomes(postgres_url: str) -> AsyncIterator[OutcomeStore]:
    async with Database(Address(postgres_url), size=5) as database:
        await database.migrate()
        yield PostgresOutcomes(database)


@pytest.fixture(params=["memory_outcomes", "postgres_outcomes"])
def store(request) -> OutcomeStore:
    return request.getfixturevalue(request.param)
