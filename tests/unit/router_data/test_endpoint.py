"""Who is left alone, for how long, and who is tried again: over plain times."""

from __future__ import annotations

import pytest
from headrace_router.data.batchers.decisions.balance import (
    FIRST_S,
    FORGIVEN_S,
    IN_A_ROW,
    LONGEST_S,
    Endpoint,
    Latency,
)
from headrace_router.data.batchers.endpoints import (
    fails,
    is_late,
    is_silent,
    partition,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each


def endpoint(name: str = "one") -> Endpoint[str]:
    return Endpoint(name, Latency())


def ejected(at: float = 10.0, name: str = "one") -> Endpoint[str]:
    made = endpoint(name)
    assert [made.failed(at, at) for _ in range(IN_A_ROW)][-1]
    return made


def test_failures_in_a_row_eject():
    one = endpoint()
    assert [one.failed(1.0, 1.0) for _ in range(IN_A_ROW)] == [False] * (IN_A_ROW - 1) + [True]
    assert one.until == 1.0 + FIRST_S


def test_a_good_answer_between_breaks_the_row():
    one = endpoint()
    for _ in range(20):
        for _ in range(4):
            one.answered(0.0, 1.0, 1.01)
        assert not any(one.failed(1.0, 1.0) for _ in range(2))


def test_failing_half_of_the_time_ejects_without_a_row():
    one, failed = endpoint(), []
    for _ in range(100):
        one.answered(0.0, 1.0, 1.01)
        failed += [one.failed(1.0, 1.0) for _ in range(3)]
        if any(failed):
            break
    assert any(failed)


def test_an_ejected_one_is_tried_by_one_request_when_its_time_is_over():
    one = ejected(10.0)
    assert not one.due(10.0 + FIRST_S - 0.01)
    assert one.due(10.0 + FIRST_S)
    one.probing = True
    assert not one.due(10.0 + FIRST_S)


def test_a_good_answer_to_the_trial_ends_the_ejection():
    one = ejected(10.0)
    assert one.answered(0.0, 11.0, 11.1)
    assert not one.until
    assert not any(one.failed(12.0, 12.0) for _ in range(IN_A_ROW - 1))


def test_each_trial_that_fails_doubles_the_time_up_to_a_bound():
    one, now, waits = ejected(10.0), 10.0, []
    for _ in range(8):
        waits.append(one.until - now)
        now = one.until
        assert one.failed(now, now)
    assert waits == pytest.approx([1, 2, 4, 8, 16, 30, 30, LONGEST_S])


def test_what_was_sent_before_says_nothing_about_it_afterwards():
    one = ejected(10.0)
    assert not one.failed(9.0, 10.5)
    assert not one.answered(0.0, 9.0, 10.5)
    assert one.until
    one.answered(0.0, 11.0, 11.1)
    assert not any(one.failed(11.0, 12.0) for _ in range(IN_A_ROW))


def test_after_a_minute_in_good_standing_the_times_begin_anew():
    one = ejected(10.0)
    one.failed(11.0, 11.0)
    one.answered(0.0, 13.0, 13.1)
    later = 13.1 + FORGIVEN_S + 1
    assert [one.failed(later, later) for _ in range(IN_A_ROW)][-1]
    assert one.until == later + FIRST_S


def test_a_slow_one_counts_less_and_less_as_such_while_it_is_not_measured():
    one = endpoint()
    one.answered(0.0, 100.0, 100.1)
    assert one.expected_s(100.1) == pytest.approx(0.1)
    assert one.expected_s(102.1) == pytest.approx(0.05)
    assert one.expected_s(160.0) < 1e-6


def test_the_longer_nothing_was_measured_the_more_a_measurement_counts():
    often, seldom = endpoint(), endpoint()
    for one in (often, seldom):
        one.answered(0.0, 100.0, 100.1)
    often.answered(0.0, 100.19, 100.2)
    seldom.answered(0.0, 110.19, 110.2)
    assert often.took_s == pytest.approx(0.0955)
    assert seldom.took_s == pytest.approx(0.013, abs=0.001)


def test_what_another_one_answered_first_counts_as_late_here():
    one = endpoint()
    one.answered(0.0, 100.0, 100.01)
    for at in range(20):
        one.outrun(100.01 + at * 0.01 - 0.2, 100.01 + at * 0.01)
    assert one.took_s > 0.1
    before = one.took_s
    one.outrun(101.0, 101.001)
    assert one.took_s == before


def test_what_is_given_up_is_no_answer():
    one = endpoint()
    assert not one.answered_since(99.0)
    one.answered(0.0, 100.0, 100.01)
    for at in (100.5, 101.0):
        one.outrun(100.0, at)
        assert one.answered_since(100.0)
        assert not one.answered_since(100.01)
    one.answered(0.0, 101.0, 101.5)
    assert one.answered_since(101.2)


@each(
    "code,reason,expected",
    [
        (14, "NO_BACKEND", True),
        (14, "BACKEND_CRASHED", True),
        (13, "INTERNAL", True),
        (14, "NOT_LOADED", False),
        (14, "STOPPING", False),
        (14, "MODEL_LOADING", False),
        (3, "NAN_NOT_ALLOWED", False),
        (8, "QUEUE_FULL", False),
        (4, "DEADLINE_UNREACHABLE", False),
    ],
)
def test_what_says_that_a_batcher_fails(code, reason, expected):
    assert fails(code, reason) == expected


def test_an_impatient_caller_says_nothing_about_the_batcher():
    assert not is_late(0.02, 0.0)
    assert not is_late(1.0, 0.5)
    assert is_late(1.0, 0.1)


def test_silence_is_judged_by_how_long_answers_take():
    assert is_silent(2.0, 0.01)
    assert not is_silent(1.9, 0.01)
    assert not is_silent(9.0, 5.0)
    assert not is_silent(3.9, 0.0)
    assert is_silent(4.0, 0.0)


@pytest.mark.parametrize(
    ("bad", "of", "alone"),
    [
        pytest.param(0, 3, 0, id="all are well"),
        pytest.param(1, 1, 0, id="an only one is not left alone"),
        pytest.param(1, 2, 1, id="one of two"),
        pytest.param(2, 3, 1, id="no more than half"),
        pytest.param(3, 4, 2, id="of four too"),
        pytest.param(4, 4, 0, id="when all fail, none is worse"),
    ],
)
def test_how_many_are_left_alone(bad, of, alone):
    endpoints = [ejected(10.0 + at, str(at)) if at < bad else endpoint(str(at)) for at in range(of)]
    usable, left_alone = partition(endpoints)
    assert (len(left_alone), len(usable)) == (alone, of - alone)


@given(st.lists(st.one_of(st.none(), st.floats(1, 100)), max_size=9))
def test_nobody_is_lost_and_somebody_always_gets_requests(times):
    endpoints = [endpoint(str(at)) if time is None else ejected(time, str(at)) for at, time in enumerate(times)]
    usable, left_alone = partition(endpoints)
    assert {one.replica for one in [*usable, *left_alone]} == {one.replica for one in endpoints}
    assert len(usable) + len(left_alone) == len(endpoints)
    assert bool(usable) == bool(endpoints)
    assert all(one.until for one in left_alone)
    assert len(left_alone) <= max(1, len(endpoints) // 2)
