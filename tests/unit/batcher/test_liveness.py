"""Which version gets a probe, and how long that may take."""

import pytest
from headrace_batcher.loading.liveness import MIN_DEADLINE_S, Liveness, deadline_s, due

NOW = 100.0


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        pytest.param([Liveness("a", 99.0, False), Liveness("b", 98.5, False)], [], id="who answers callers needs none"),
        pytest.param([Liveness("a", 97.0, False), Liveness("b", 96.0, False)], ["b"], id="the longest silent one"),
        pytest.param([Liveness("a", 99.9, True)], ["a"], id="a stalled one, whatever it said before"),
        pytest.param(
            [
                Liveness("a", 97.0, False),
                Liveness("b", 0.0, True),
                Liveness("c", 99.0, False),
                Liveness("d", 90.0, False),
            ],
            ["b", "a", "d"],
            id="all that are silent once one is stalled",
        ),
        pytest.param([], [], id="nothing is loaded"),
    ],
)
def test_which_versions_get_a_liveness_probe(versions, expected):
    assert due(versions, 2.0, NOW) == expected


def test_a_probe_of_a_slow_or_busy_version_has_more_time():
    assert deadline_s(0.001, 0.0) == MIN_DEADLINE_S
    assert deadline_s(1.0, 2.0) == 12.0
