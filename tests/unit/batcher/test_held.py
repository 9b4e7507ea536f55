"""When a version that failed or crashed is tried again."""

import math

import pytest
from headrace_batcher.decisions.lifecycle import FIRST_CRASH_RETRY_S, FIRST_RETRY_S
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.version_state import Wanted
from headrace_batcher.loading.held import Held
from headrace_batcher.metrics import BatchCounters

from tests.kit.batcher.scripted_backend import X_TO_Y


@pytest.fixture
def held() -> Held:
    wanted = Wanted("m", "v", "digest", "sha256", X_TO_Y, Limits())
    return Held(wanted, None, None, 1, None, BatchCounters(), math.inf)  # type: ignore[arg-type]


def test_what_was_lost_before_a_version_loaded_makes_the_next_loss_no_worse(held: Held):
    for began in (0.0, 100_000.0):
        held.count_crash(began)
        held.count_loss(began)
        assert held.retry_at == began + FIRST_RETRY_S
        held.count_failure(began + 1.0, crashed=True, short=False)
        assert held.retry_at == began + 1.0 + FIRST_CRASH_RETRY_S
        held.count_success()
