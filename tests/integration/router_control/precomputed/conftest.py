"""A control plane on a database and a Valkey of its own, with a model whose first version serves."""

from collections.abc import AsyncIterator

import pytest
from headrace_servicekit.testing import eventually
from redis.asyncio import Redis

from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.registry_feed import RegistryFeed


@pytest.fixture
def settings() -> dict[str, object]:
    """Settings of the control planes of a test."""
    return {"precomputed_settle_s": 0.1, "acknowledge_wait_s": 0.2}


@pytest.fixture
async def plane(
    postgres_url: str, valkey_url: str, registry: RegistryFeed, settings: dict[str, object]
) -> AsyncIterator[Plane]:
    registry.put("digits", "v1", "v2", production="v1")
    async with control_plane(postgres_url, registry.target, valkey_url=valkey_url, **settings) as running_plane:
        await running_plane.report("p1", "v1", "v2")
        await eventually(lambda: _serves(running_plane))
        yield running_plane


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey_url)
    yield client
    await client.config_set("maxmemory-policy", "volatile-lru")
    await client.config_set("appendonly", "yes")
    await client.aclose()


async def _serves(plane: Plane) -> bool:
    return (await plane.told()).HasField("table")
