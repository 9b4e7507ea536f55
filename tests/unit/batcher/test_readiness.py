"""When a batcher that has just started can replace another one."""

import pytest
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.version_state import KNOWN_AFTER_S, Need, Wanted, lacking

from tests.kit.batcher.scripted_backend import X_TO_Y


def wanted(model: str, need: Need = Need.ACTIVE) -> Wanted:
    limits = Limits(max_rows=2, preferred_rows=(2,))
    return Wanted(model, "v1", model, "0" * 64, X_TO_Y, limits, need=need)


@pytest.mark.parametrize(
    ("demand", "tried", "listening_s", "expected"),
    [
        pytest.param(None, (), 60.0, "what is wanted here is not known yet", id="nobody said what is wanted"),
        pytest.param((), (), KNOWN_AFTER_S, None, id="nothing is wanted"),
        pytest.param(
            (wanted("a"), wanted("b")),
            ("a",),
            60.0,
            "1 versions that serve are not loaded yet, such as b--v1",
            id="one is not loaded",
        ),
        pytest.param((wanted("a"), wanted("b", Need.REVERT)), ("a",), 60.0, None, id="a rollback has time"),
        pytest.param(
            (wanted("a"),),
            ("a",),
            KNOWN_AFTER_S / 2,
            "data planes may not have come back yet",
            id="nobody knows it yet",
        ),
    ],
)
def test_a_batcher_lacks(demand, tried, listening_s, expected):
    assert lacking(demand, tried, listening_s) == expected
