"""How long the supervisor waits before it starts a dead component again, and how long one may be unwell."""

import pytest
from headrace_stack.component import RestartPolicy
from headrace_stack.restarts import Death, GiveUp, Illness, RestartAfter, decide, ends, observe, patience_s
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

POLICY = RestartPolicy(first_s=0.5, most_s=8.0, steady_s=30.0, start_attempts=3, patience_s=15.0, most_patience_s=600.0)


@each(
    "death,deaths_before,ever_ready,expected",
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


@pytest.mark.parametrize(
    ("start_took_s", "endings", "expected"),
    [
        pytest.param(1, 0, 15, id="a quick start does not make impatient"),
        pytest.param(20, 0, 40, id="a slow start is worth twice its time"),
        pytest.param(1, 1, 30, id="what did not help is tried later"),
        pytest.param(1, 3, 120, id="and later"),
        pytest.param(1, 50, 600, id="with a bound"),
        pytest.param(400, 0, 800, id="which does not make a slow start impatient"),
        pytest.param(400, 5, 800, id="however often it was tried"),
    ],
)
def test_what_is_unwell_has_as_long_as_starting_it_again_would_take(start_took_s: float, endings: int, expected: float):
    assert patience_s(POLICY, start_took_s, endings) == expected


@pytest.mark.parametrize(
    ("checks", "ended"),
    [
        pytest.param([(0, "no", False)], False, id="one failure ends nobody"),
        pytest.param([(0, "no", False), (20, "no", False)], False, id="nor do two, however far apart"),
        pytest.param([(0, "no", False), (8, "no", False), (14, "no", False)], False, id="nor three too soon"),
        pytest.param([(0, "no", False), (8, "no", False), (16, "no", False)], True, id="three for long enough do"),
        pytest.param(
            [(0, "no", False), (8, None, False), (12, "no", False), (16, "no", False), (20, "no", False)],
            False,
            id="an answer in between begins anew",
        ),
        pytest.param(
            [(0, "no", True), (8, "no", True), (16, "no", True), (99, "no", True)],
            False,
            id="what its need explains does not count",
        ),
        pytest.param(
            [(0, "no", True), (16, "no", False), (24, "no", False), (32, "no", False)],
            True,
            id="what goes on after the need is well does",
        ),
    ],
)
def test_a_component_is_ended_when_it_fails_often_and_for_long(checks: list, ended: bool):
    illness: Illness | None = None
    for asked_s, said, excused in checks:
        illness = observe(illness, asked_s, said, excused=excused)
    assert (illness is not None and ends(illness, checks[-1][0], patience_s(POLICY, 1, 0))) is ended
