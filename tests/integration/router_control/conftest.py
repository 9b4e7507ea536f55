"""A control plane on a database of its own, following a registry that the test holds in its hand."""

from collections.abc import AsyncIterator

import pytest

from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.registry_feed import RegistryFeed
from tests.kit.stores.servers import postgres_url_with

postgres_url = postgres_url_with("headrace_router.control.storage.sql")


@pytest.fixture
async def registry() -> AsyncIterator[RegistryFeed]:
    async with RegistryFeed.started() as feed:
        yield feed


@pytest.fixture
async def plane(postgres_url: str, registry: RegistryFeed) -> AsyncIterator[Plane]:
    async with control_plane(postgres_url, registry.target) as running_plane:
        yield running_plane
