"""Every store of the control plane: the same tests on memory and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest
from headrace_router.control.storage.postgres import PostgresStore
from headrace_router.control.storage.store import Store
from headrace_servicekit.postgres.connections import Address, Connections

from tests.kit.router.memory_store import MemoryStore


@pytest.fixture
def memory_store() -> Store:
    return MemoryStore()


@pytest.fixture
async def postgres_store(postgres_url: str) -> AsyncIterator[Store]:
    async with PostgresStore(Connections(Address(postgres_url), owner="router", size=8)) as postgres:
        await postgres.migrate()
        yield postgres


@pytest.fixture(params=["memory_store", "postgres_store"])
def store(request: pytest.FixtureRequest) -> Store:
    return request.getfixturevalue(request.param)
