"""Fixtures of the registry's integration tests."""

from collections.abc import AsyncIterator

import pytest

from tests.kit.registry.process import rig
from tests.kit.registry.service import Registry, memory_registry, real_registry

__all__ = ["rig"]


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    """A whole registry over memory: what it answers does not depend on the stores."""
    async with memory_registry(max_artifact_bytes=1_000_000) as registry:
        yield registry


@pytest.fixture
async def real(postgres_url, s3, tmp_path) -> AsyncIterator[Registry]:
    """A whole registry over PostgreSQL and S3."""
    async with real_registry(postgres_url, s3, tmp_path) as registry:
        yield registry
