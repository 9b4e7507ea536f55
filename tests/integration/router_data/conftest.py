"""A control plane and a batcher that the test holds in its hand, both of which know digits."""

from collections.abc import AsyncIterator

import pytest

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.router.digits import V1, V2
from tests.kit.router.fake_control import FakeControl, table
from tests.kit.stores.valkey_process import ValkeyProcess


@pytest.fixture
async def control() -> AsyncIterator[FakeControl]:
    """Under its table v1 answers for everybody."""
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V1]))
        yield control


@pytest.fixture
async def batcher() -> AsyncIterator[FakeBatcher]:
    """It has both versions ready."""
    async with FakeBatcher.serving([V1, V2]) as batcher:
        yield batcher


@pytest.fixture
async def valkey() -> AsyncIterator[ValkeyProcess]:
    """One that the test may freeze and kill."""
    async with ValkeyProcess.running() as valkey:
        yield valkey
