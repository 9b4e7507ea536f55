"""When schedules create jobs: never twice, never two at a time, and what they skip is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headrace_scorer.decisions.schedules import Due, Schedule, due, next_time
from headrace_scorer.decisions.specs import Location, Spec
from hypothesis import given
from hypothesis import strategies as st

AT = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NIGHTLY = Schedule(
    "nightly", "digits", "0 2 * * *", "UTC", Spec(Location("tables", "digits")), "ada", last_time=AT - HOUR
)


def test_a_time_that_comes_creates_a_job_once() -> None:
    assert due(NIGHTLY, AT - MINUTE, busy=False) is None
    now = due(NIGHTLY, AT, busy=False)
    assert now is not None
    assert (now.time, now.skipped) == (AT, ())
    assert due(now.schedule, AT, busy=False) is None
    assert due(now.schedule, AT + HOUR, busy=True) is None


def test_a_job_that_is_not_over_is_not_joined_by_another() -> None:
    now = due(replace(NIGHTLY, last_job=6), AT, busy=True)
    assert now is not None
    assert now.time is None
    assert [(one.count, one.first) for one in now.skipped] == [(1, AT)]
    assert "6" in now.skipped[0].reason
    assert now.schedule.skipped == 1


def test_times_that_passed_while_nobody_was_there_are_skipped_but_for_one_that_may_still_begin() -> None:
    now = due(NIGHTLY, AT + timedelta(days=3, minutes=10), busy=False)
    assert now is not None
    assert now.time == AT + timedelta(days=3)
    assert [(one.count, one.first, one.last) for one in now.skipped] == [(3, AT, AT + timedelta(days=2))]


def test_a_time_that_is_too_long_ago_is_skipped_too() -> None:
    now = due(NIGHTLY, AT + timedelta(hours=5), busy=False)
    assert now is not None
    assert now.time is None
    assert now.schedule.skipped == 1
    assert due(now.schedule, AT + timedelta(hours=6), busy=False) is None


def test_a_paused_schedule_creates_nothing_and_catches_nothing_up() -> None:
    paused = replace(NIGHTLY, paused=True)
    assert next_time(paused, AT - HOUR) is None
    passed = due(paused, AT, busy=False)
    assert passed is not None
    assert (passed.time, passed.skipped) == (None, ())
    assert due(replace(passed.schedule, paused=False), AT + MINUTE, busy=False) is None


def test_a_new_schedule_begins_with_the_next_time() -> None:
    begun = due(replace(NIGHTLY, last_time=None), AT + MINUTE, busy=False)
    assert begun is not None
    assert begun == Due(replace(NIGHTLY, last_time=AT + MINUTE))
    assert next_time(begun.schedule, AT + MINUTE) == AT + timedelta(days=1)


@pytest.mark.parametrize("back", [MINUTE, HOUR])
def test_a_clock_that_is_set_back_a_little_creates_nothing_twice(back: timedelta) -> None:
    first = due(NIGHTLY, AT, busy=False)
    assert first is not None
    assert due(first.schedule, AT - back, busy=False) is None
    assert due(first.schedule, AT, busy=False) is None


def test_a_clock_that_was_days_ahead_does_not_silence_a_schedule_for_days() -> None:
    ahead = due(NIGHTLY, AT + timedelta(days=30), busy=False)
    assert ahead is not None
    reset = due(ahead.schedule, AT + MINUTE, busy=False)
    assert reset is not None
    assert "set back" in reset.skipped[0].reason
    following = due(reset.schedule, AT + timedelta(days=1), busy=False)
    assert following is not None
    assert following.time == AT + timedelta(days=1)


def test_times_that_passed_by_the_thousand_are_decided_on_at_once() -> None:
    minutely = replace(NIGHTLY, cron="* * * * *", last_time=AT - timedelta(days=365))
    now = due(minutely, AT, busy=False)
    assert now is not None
    assert now.time == AT


@given(
    st.sampled_from(["0 2 * * *", "*/20 * * * *", "30 2 * * SUN"]),
    st.sampled_from(["UTC", "Europe/Berlin"]),
    st.lists(st.tuples(st.integers(-90, 3 * 24 * 60), st.booleans()), max_size=40),
)
def test_whatever_the_clock_does_no_time_has_two_jobs_and_no_job_comes_before_its_time(
    cron: str, zone: str, steps: list[tuple[int, bool]]
) -> None:
    schedule, now, created = replace(NIGHTLY, cron=cron, zone=zone), AT, list[str]()
    for minutes, busy in steps:
        now += timedelta(minutes=minutes)
        for _ in range(2):  # two replicas, or one that comes back
            decided = due(schedule, now, busy=busy)
            if decided is None:
                continue
            schedule = decided.schedule
            if decided.time is not None:
                assert not busy
                assert decided.time <= now
                created.append(schedule.request_id(decided.time))
    assert len(created) == len(set(created))
