"""Every store of the registry: the same tests on memory and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest
from headrace_registry.storage.postgres import PostgresStore
from headrace_registry.storage.store import Store
from headrace_servicekit.postgres.connections import Address, Connections

from tests.kit.registry.contents import with_blobs
from tests.kit.registry.memory_store import MemoryStore


@pytest.fixture
async def memory_store() -> Store:
    return await with_blobs(MemoryStore())


@pytest.fixture
async def postgres_store(postgres_url: str) -> AsyncIterator[Store]:
    async with Connections(Address(postgres_url), owner="registry", size=10) as connections:
        store = PostgresStore(connections)
        await store.migrate()
        yield await with_blobs(store)


@pytest.fixture(params=["memory_store", "postgres_store"])
def store(request) -> Store:
    return request.getfixturevalue(request.param)
