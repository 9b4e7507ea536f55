from __future__ import annotations

import pytest
from headrace_router.data.lookup.valkey.connection import StoreClock


class Hands:
    """The loop's clock and the wall's, moved by hand."""

    def __init__(self) -> None:
        self.loop_s, self.wall_s = 100.0, 1_700_000_000.0
        self.clock = StoreClock(lambda: self.loop_s, lambda: self.wall_s)


def test_until_it_is_read_it_is_this_machines():
    hands = Hands()
    hands.loop_s += 5
    assert hands.clock.now_ms() == pytest.approx(1_700_000_005_000)


@pytest.mark.parametrize("off_s", [3600.0, -3600.0])
def test_a_wrong_clock_here_does_not_matter(off_s):
    hands = Hands()
    hands.clock.read(1_700_000_000_000 + off_s * 1000, 100.0, 100.004)
    hands.loop_s = 100.002
    assert hands.clock.now_ms() == pytest.approx(1_700_000_000_000 + off_s * 1000)
    hands.wall_s += 3600
    hands.loop_s += 1
    assert hands.clock.now_ms() == pytest.approx(1_700_000_001_000 + off_s * 1000)


def test_a_slow_reading_does_not_replace_a_quick_one_until_that_is_old():
    hands = Hands()
    hands.clock.read(5_000.0, 100.0, 100.001)
    hands.clock.read(99_000.0, 101.0, 101.5)
    assert hands.clock.now_ms() == pytest.approx(5_000, abs=1)
    hands.clock.read(99_000.0, 200.0, 200.5)
    hands.loop_s = 200.25
    assert hands.clock.now_ms() == pytest.approx(99_000)
