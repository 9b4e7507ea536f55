"""Which step of a fallback chain is tried, and until when."""

import pytest
from headrace_router.data.fallbacks.decisions.step_choice import AT_HAND, CANNOT, choose, hand_over_s, rooms_s
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

NEEDS = st.one_of(st.just(0.0), st.just(CANNOT), st.floats(0.0001, 1.0))
LADDERS = st.lists(NEEDS, min_size=1, max_size=9)


@each(
    "left_s,needs_s,start,expected",
    [
        pytest.param(1.0, [0.03], 0, (0, 1.0), id="alone, a step has all the time"),
        pytest.param(1.0, [0.03, 0.0], 0, (0, 1.0 - hand_over_s(1.0)), id="it leaves the next one the least"),
        pytest.param(
            1.0, [0.03, 0.2, 0.0], 0, (0, 0.8 - 2 * hand_over_s(1.0)), id="it leaves the next one what that needs"
        ),
        pytest.param(0.1, [0.03, 0.09, 0.0], 0, (0, 0.1 - hand_over_s(0.1)), id="or a later one what that needs"),
        pytest.param(0.02, [0.03, 0.0], 0, (1, 0.02), id="20 ms left, online needs 30"),
        pytest.param(0.02, [0.03, 0.01, 0.0], 0, (1, 0.02 - hand_over_s(0.02)), id="the first that can"),
        pytest.param(0.02, [0.015, 0.0], 0, (1, 0.02), id="not one after which nothing could answer"),
        pytest.param(0.02, [CANNOT, CANNOT, 0.0], 0, (2, 0.02), id="nobody serves"),
        pytest.param(1.0, [0.03, 0.0], 1, (1, 1.0), id="what was tried is not tried again"),
        pytest.param(0.02, [0.03, 0.04], 0, (0, 0.02), id="a guess may be wrong"),
        pytest.param(0.02, [0.03, 0.04], 1, (1, 0.02), id="of every step"),
        pytest.param(1.0, [CANNOT], 0, None, id="nobody at all"),
        pytest.param(1.0, [0.0], 1, None, id="no step is left"),
    ],
)
def test_choose(left_s, needs_s, start, expected):
    found = choose(left_s, needs_s, start)
    assert found == (None if expected is None else (expected[0], pytest.approx(expected[1])))


@given(st.floats(0.0001, 2.0), LADDERS, st.integers(0, 9))
def test_no_step_gets_more_time_than_is_left_and_none_is_tried_twice(left_s, needs_s, start):
    found = choose(left_s, needs_s, start)
    if found is not None:
        assert start <= found.step < len(needs_s)
        assert 0 < found.within_s <= left_s
        assert found.within_s >= min(needs_s[found.step], left_s) - 1e-9
        assert needs_s[found.step] < CANNOT


@given(st.floats(0.0001, 2.0), LADDERS)
def test_a_step_that_is_tried_leaves_time_for_another_if_there_is_one(left_s, needs_s):
    """Also when it hands over a tick late, and that one is then chosen."""
    found = choose(left_s, needs_s)
    if found is None:
        assert set(needs_s) == {CANNOT}
        return
    own_s = needs_s[found.step]
    later = [one for one in rooms_s(left_s, needs_s)[found.step + 1 :] if one < CANNOT]
    if AT_HAND < own_s <= left_s and later:
        assert found.within_s >= own_s - 1e-9
        next_found = choose(left_s - found.within_s - 0.004, needs_s, found.step + 1)
        assert next_found is not None
        assert needs_s[next_found.step] <= next_found.within_s + 1e-9


@given(st.floats(0.0001, 2.0), LADDERS)
def test_the_order_of_a_ladder_is_kept(left_s, needs_s):
    """Whoever is passed over cannot answer, would take too long, or would leave no time for anybody else."""
    found = choose(left_s, needs_s)
    if found is None or needs_s[found.step] > left_s:
        return
    pending = rooms_s(left_s, needs_s)
    for step in range(found.step):
        quickest_s = min(pending[step + 1 :])
        assert needs_s[step] > left_s or (quickest_s < CANNOT and needs_s[step] + quickest_s > left_s)


@pytest.mark.parametrize(("left_s", "expected"), [(0.02, 0.006), (0.1, 0.006), (0.5, 0.025), (1.0, 0.05), (60.0, 0.05)])
def test_who_allows_more_time_is_told_sooner_for_the_way_to_the_caller(left_s: float, expected: float):
    assert hand_over_s(left_s) == pytest.approx(expected)
