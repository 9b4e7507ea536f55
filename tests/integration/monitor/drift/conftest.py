"""A log that the test writes, a registry with a reference for it, and the time."""

import numpy as np
import pytest
from headrace_servicekit.testing import FakeClock

from tests.kit.monitor.drift import START, Registered, features, parquet, plain_name
from tests.kit.monitor.feature_log import feature_log


@pytest.fixture
async def log(postgres_url, s3, tmp_path):
    async with feature_log(postgres_url, s3, tmp_path) as opened:
        yield opened


@pytest.fixture
def registered():
    known = Registered()
    # As somebody would write it who never saw the log: names of the contract, or of columns alone.
    reference = features(np.random.default_rng(99), 20_000)
    known.add("fraud", "v1", parquet({plain_name(name): values for name, values in reference.items()}))
    return known


@pytest.fixture
def clock():
    return FakeClock(START)
