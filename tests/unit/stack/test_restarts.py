"""How long the supervisor waits before it starts a dead component again."""

import pytest
from headrace_stack.component import RestartPolicy
from headrace_stack.restarts import Death, GiveUp, RestartAfter, decide
from hypothesis import given
from hypothesis import strategies as st

POLICY = RestartPolicy(first_s=0.5, most_s=8.0, steady_s=30.0, start_attempts=3)


@pytest.mark.parametrize(
    ("death", "deaths_before", "ever_ready", "expected"),
    [
        pytest.param(Death(90, True), 0, True, RestartAfter(0.5, 1), id="the first death is answered soon"),
        pytest.param(Death(1, True), 1, True, RestartAfter(1.0, 2), id="the second in a row waits twice as long"),
        pytest.param(Death(1, True), 9, True, RestartAfter(8.0, 10), id="the wait has a bound"),
        pytest.param(Death(31, True), 9, True, RestartAfter(0.5, 1), id="a steady life forgives earlier deaths"),
        pytest.param(Death(31, False), 4, True, RestartAfter(8.0, 5), id="a long start is not a steady life"),
        pytest.param(Death(1, False), 1, False, RestartAfter(1.0, 2), id="a start may fail twice"),
        pytest.param(Death(1, False), 2, False, GiveUp(3), id="the third failed start is the last"),
        pytest.param(Death(1, False), 50, True, RestartAfter(8.0, 51), id="what once worked is never given up"),
    ],
)
def test_decide(death: Death, deaths_before: int, ever_ready: bool, expected: RestartAfter | GiveUp):
    assert decide(POLICY, death, deaths_before, ever_ready) == expected


@given(st.integers(0, 10**9), st.floats(0, 1e9), st.booleans())
def test_the_wait_always_lies_between_its_bounds(deaths_before: int, lived_s: float, was_ready: bool):
    decision = decide(POLICY, Death(lived_s, was_ready), deaths_before, ever_ready=True)
    assert isinstance(decision, RestartAfter)
    assert POLICY.first_s <= decision.wait_s <= POLICY.most_s
