"""Times of cron expressions, also where the clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from headrace_scorer.decisions.cron import Unfit, after, check
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

BERLIN = "Europe/Berlin"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def times(expression: str, zone: str, begin: str, count: int) -> list[str]:
    """Return so many times after a moment, as UTC."""
    moment, found = datetime.fromisoformat(begin).replace(tzinfo=UTC), []
    for _ in range(count):
        moment = after(expression, zone, moment)
        found.append(f"{moment:%Y-%m-%d %H:%M}")
    return found


def test_a_time_zone_counts() -> None:
    assert times("0 2 * * *", BERLIN, "2026-07-01", 2) == ["2026-07-02 00:00", "2026-07-03 00:00"]
    assert times("0 2 * * *", BERLIN, "2026-12-01", 1) == ["2026-12-01 01:00"]
    assert times("30 9 * * MON", "Asia/Kolkata", "2026-11-29", 1) == ["2026-11-30 04:00"]


def test_a_time_that_the_clock_leaves_out_comes_when_the_change_is_over() -> None:
    # On 29 March 2026 the clock goes from 02:00 to 03:00.
    assert times("30 2 * * *", BERLIN, "2026-03-28", 3) == ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"]


def test_a_time_that_the_clock_brings_twice_comes_once() -> None:
    # On 25 October 2026 the clock goes from 03:00 back to 02:00.
    assert times("30 2 * * *", BERLIN, "2026-10-24", 3) == ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"]
    within = after("30 2 * * *", BERLIN, datetime(2026, 10, 25, 1, 10, tzinfo=UTC))  # the second 02:10
    assert f"{within:%Y-%m-%d %H:%M}" == "2026-10-26 01:30"


def test_what_comes_every_hour_comes_in_every_hour_that_passes() -> None:
    assert times("0 * * * *", BERLIN, "2026-10-24 23:30", 4) == [
        "2026-10-25 00:00", "2026-10-25 01:00", "2026-10-25 02:00", "2026-10-25 03:00",
    ]  # fmt: skip


@each(
    "expression,zone,says",
    [
        ("", "UTC", "five fields"),
        ("* * * *", "UTC", "five fields"),
        ("* * * * * *", "UTC", "five fields"),
        ("61 * * * *", "UTC", "minute"),
        ("0 0 30 2 *", "UTC", "day-of-month"),
        ("0 0 31 2,4 *", "UTC", "day-of-month"),
        ("@daily", "UTC", "five fields"),
        ("0 2 * * *", "Mars/Olympus", "time zone"),
        ("0 2 * * *", "../../etc/passwd", "time zone"),
        ("0 2 * * *", "", "time zone"),
        ("0 2 * * *\0", "UTC", "day-of-week"),
        ("9" * 5000 + " * * * *", "UTC", "characters"),
    ],
)
def test_what_says_no_times_is_refused_with_the_reason(expression: str, zone: str, says: str) -> None:
    with pytest.raises(Unfit, match=says):
        check(expression, zone)


@given(st.text(max_size=30), st.sampled_from(["UTC", BERLIN]))
def test_any_text_is_times_or_refused(expression: str, zone: str) -> None:
    try:
        check(expression, zone)
    except Unfit:
        return
    assert after(expression, zone, datetime(2026, 1, 1, tzinfo=UTC))


@given(
    st.sampled_from(["30 2 * * *", "0 * * * *", "*/7 1-3 * * *", "15 3 * * SUN", "0 0 29 2 *"]),
    st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe"]),
    st.integers(0, 2 * 365 * 24 * 60).map(lambda minutes: BEGIN + timedelta(minutes=minutes)),
)
def test_each_time_is_later_than_what_it_was_asked_from(expression: str, zone: str, asked: datetime) -> None:
    following = after(expression, zone, asked)
    assert following > asked
    # Asking from any moment between gives the same time: whoever asks, and when, no time is lost or doubled.
    assert after(expression, zone, asked + (following - asked) / 2) <= following
    assert after(expression, zone, following - timedelta(seconds=1)) == following
