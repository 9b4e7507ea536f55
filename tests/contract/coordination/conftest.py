"""Coordination on a real PostgreSQL, in a schema that a service would have."""

from collections.abc import AsyncIterator

import pytest
from headrace_servicekit.postgres.connections import Address, Connections

from tests.kit.stores.coordination import prepare


@pytest.fixture
async def connections(postgres_url: str) -> AsyncIterator[Connections]:
    async with Connections(Address(postgres_url), owner="test", size=8) as opened:
        await prepare(opened)
        yield opened
