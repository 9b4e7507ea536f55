"""Which version gets a canary, and how long that may take."""

import pytest
from headrace_batcher.loading.canary import MIN_DEADLINE_S, Sign, deadline_s, due

NOW = 100.0


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        pytest.param([Sign("a", 99.0, False), Sign("b", 98.5, False)], [], id="who answers callers needs none"),
        pytest.param([Sign("a", 97.0, False), Sign("b", 96.0, False)], ["b"], id="the longest silent one"),
        pytest.param([Sign("a", 99.9, True)], ["a"], id="a stalled one, whatever it said before"),
        pytest.param(
            [Sign("a", 97.0, False), Sign("b", 0.0, True), Sign("c", 99.0, False), Sign("d", 90.0, False)],
            ["b", "a", "d"],
            id="all that are silent once one is stalled",
        ),
        pytest.param([], [], id="nothing is loaded"),
    ],
)
def test_who_gets_a_canary(signs, expected):
    assert due(signs, 2.0, NOW) == expected


def test_a_canary_of_a_slow_or_busy_version_has_more_time():
    assert deadline_s(0.001, 0.0) == MIN_DEADLINE_S
    assert deadline_s(1.0, 2.0) == 12.0
