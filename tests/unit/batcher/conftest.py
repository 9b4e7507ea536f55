"""Fixtures of the batcher's unit tests; what they give is in tests/kit/batcher/scripted_backend.py."""

import pytest

from tests.kit.batcher.scripted_backend import Doubling, WorkMaker


@pytest.fixture
def work() -> WorkMaker:
    return WorkMaker()


@pytest.fixture
async def backend() -> Doubling:
    return Doubling()
