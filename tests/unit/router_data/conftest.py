"""Batchers that serve digits v1 and that the test holds in its hand; `bad` is the one that fails, hangs or is slow."""

from collections.abc import AsyncIterator

import pytest

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.router.digits import V1


@pytest.fixture
async def batcher() -> AsyncIterator[FakeBatcher]:
    async with FakeBatcher.serving([V1]) as batcher:
        yield batcher


@pytest.fixture
async def other() -> AsyncIterator[FakeBatcher]:
    async with FakeBatcher.serving([V1], process="fake-2") as batcher:
        yield batcher


@pytest.fixture
async def bad() -> AsyncIterator[FakeBatcher]:
    async with FakeBatcher.serving([V1], process="fake-bad") as batcher:
        yield batcher


@pytest.fixture
async def good() -> AsyncIterator[FakeBatcher]:
    async with FakeBatcher.serving([V1], process="fake-good") as batcher:
        yield batcher
