"""Fixtures of the batcher's unit tests; what they give is in tests/kit/batching.py."""

import pytest

from tests.kit.batching import Doubling, WorkMaker


@pytest.fixture
def work() -> WorkMaker:
    return WorkMaker()


@pytest.fixture
async def backend() -> Doubling:
    return Doubling()
