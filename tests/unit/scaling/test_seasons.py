"""The floor that history sets knows the time of the day, and the time of the week where the days of the week differ."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.decision import Rule
from headrace_scaling.decisions.observations import EarlierHour, EarlierHours, Metric, Observation, Replicas, Signal
from headrace_scaling.decisions.policies import PoolPolicy, Season, Target
from headrace_scaling.decisions.seasons import SeasonalPeak, expected_peak, hourly_surge
from headrace_scaling.documents import from_json, to_json
from headrace_scaling.history import DAY_S, HOUR_S, DemandHistory
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

SEASON = Season(quantile=0.9)
NAN = math.nan
ODD = st.sampled_from([NAN, math.inf, -math.inf, -1.0])
DEMAND = st.floats(0.0, 1e12)
# Monday to Sunday: office hours, and a newsletter on Mondays.
OFFICE = (1000.0, 1010.0, 990.0, 1005.0, 995.0, 120.0, 100.0)
NEWSLETTER = (900.0, 300.0, 310.0, 290.0, 305.0, 295.0, 300.0)


def before(day: int, week: tuple[float, ...], days: int = 14) -> tuple[float, ...]:
    """Return the peaks of the days before a day of the week, yesterday's last."""
    return tuple(week[(day - lag) % 7] for lag in range(days, 0, -1))


@each("week", [OFFICE, NEWSLETTER])
@each("day", range(7))
def test_where_days_of_the_week_differ_each_has_a_floor_of_its_own(week: tuple[float, ...], day: int):
    assert expected_peak(SEASON, before(day, week)) == SeasonalPeak(week[day], of_weeks=True)


def test_where_they_do_not_differ_all_days_count():
    daily = (500.0, 520.0, 480.0, 505.0, 530.0, 470.0, 515.0, 525.0, 490.0, 510.0, 475.0, 500.0, 485.0, 520.0)
    found = expected_peak(SEASON, daily)
    assert found is not None
    assert not found.of_weeks
    assert found.demand == pytest.approx(523.5)


def test_days_drawn_at_random_rarely_look_like_weeks():
    draw = random.Random(7)
    found = [expected_peak(SEASON, [draw.gauss(1000.0, 100.0) for _ in range(14)]) for _ in range(1000)]
    assert sum(one is not None and one.of_weeks for one in found) < 15


def test_a_launch_that_doubled_the_demand_last_week_is_no_week():
    found = expected_peak(SEASON, (500.0,) * 7 + (1000.0,) * 7)
    assert found == SeasonalPeak(1000.0, of_weeks=False)


@pytest.mark.parametrize(
    "peaks",
    [
        pytest.param(before(5, OFFICE, days=7), id="one week"),
        pytest.param(before(5, OFFICE, days=11), id="four days of the week were seen twice"),
        pytest.param((*before(5, OFFICE)[:7], NAN, *before(5, OFFICE)[8:]), id="one Saturday is all that is known"),
        pytest.param(tuple(NAN if at % 2 else peak for at, peak in enumerate(before(5, OFFICE))), id="every other day"),
    ],
)
def test_as_long_as_two_weeks_are_not_known_all_days_count(peaks: tuple[float, ...]):
    found = expected_peak(SEASON, peaks)
    assert found is not None
    assert not found.of_weeks
    assert found.demand > 900.0


def test_a_missing_day_does_not_shift_the_others():
    peaks = list(before(5, OFFICE))
    peaks[3] = NAN
    assert expected_peak(SEASON, peaks) == SeasonalPeak(OFFICE[5], of_weeks=True)


@given(st.lists(DEMAND | ODD, max_size=40), st.floats(0.01, 1.0), st.integers(1, 30), st.integers(1, 14))
def test_what_is_expected_lies_within_what_was_seen_and_needs_enough_days(
    peaks: list[float], quantile: float, days: int, min_days: int
):
    season = Season(quantile, days, min_days)
    known = [peak for peak in peaks[-days:] if 0.0 <= peak < math.inf]
    found = expected_peak(season, peaks)
    assert (found is None) == (len(known) < min_days)
    if found is not None:
        assert min(known) <= found.demand <= max(known) * (1.0 + 1e-9)
        if found.of_weeks:
            same_day = [peak for peak in peaks[-days:][-7::-7] if 0.0 <= peak < math.inf]
            assert min(same_day) <= found.demand <= max(same_day) * (1.0 + 1e-9)


@given(st.lists(DEMAND | ODD, max_size=30), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_higher_quantile_never_expects_less(peaks: list[float], one: float, other: float):
    low, high = sorted((one, other))
    least, most = (expected_peak(Season(level), peaks) for level in (low, high))
    if least is not None and most is not None:
        assert least.of_weeks == most.of_weeks
        assert least.demand <= most.demand * (1.0 + 1e-9)


def test_the_decision_says_that_it_is_of_earlier_weeks_and_replays_from_its_json():
    policy = PoolPolicy(targets=(Target(Metric.REQUESTS_PER_S, 100.0),), max_replicas=20, season=SEASON)
    peaks = before(0, NEWSLETTER)
    signals = {Metric.REQUESTS_PER_S: Signal(90.0)}
    observation = Observation("gpu", 1e9, Replicas(1), signals, seasonal_peaks=(*peaks[:3], NAN, *peaks[4:]))
    decision, memory = decide(policy, None, observation)
    assert (decision.desired, decision.rule, decision.demand) == (9, Rule.WEEK, 900.0)
    assert "At this time earlier weeks peaked at 900" in decision.sentences[1]
    again, _ = decide(policy, None, from_json(Observation, to_json(observation)))
    assert to_json(again) == to_json(decision)
    assert from_json(type(memory), to_json(memory)) == memory


def test_a_history_of_two_weeks_keeps_nothing_ready_on_a_weekend_for_the_days_of_work():
    history = DemandHistory()
    monday = 4 * DAY_S  # 1970-01-05
    for day in range(14):
        for hour in range(24):
            history.record(monday + day * DAY_S + hour * 3600, OFFICE[day % 7] if 8 <= hour < 18 else 50.0)
    saturday, monday_again = monday + 19 * DAY_S + 9 * 3600, monday + 14 * DAY_S + 9 * 3600
    for at in range(monday_again, saturday, DAY_S):
        history.record(at, OFFICE[(at - monday) // DAY_S % 7])
    found = expected_peak(SEASON, history.peaks(saturday, 60.0))
    assert found is not None
    assert (found.of_weeks, found.demand) == (True, pytest.approx(120.0))


SURGE, LEVEL = EarlierHour(900.0, 300.0), EarlierHour(300.0, 300.0)


@each(
    "hours,likeness,expected",
    [
        ((SURGE, SURGE, SURGE), 0.9, 900.0),
        ((SURGE, LEVEL, SURGE), 0.6, 900.0),  # one that did not come
        ((LEVEL, SURGE, LEVEL), 0.6, 0.0),  # one that came once
        ((SURGE, SURGE, SURGE), 0.4, 0.0),  # hours do not repeat
        ((SURGE, SURGE, SURGE), NAN, 0.0),
        ((EarlierHour(900.0, 850.0),) * 3, 0.9, 0.0),  # a level that lasts
        ((SURGE, SURGE), 0.9, 0.0),
        ((EarlierHour(NAN, NAN), SURGE, SURGE), 0.9, 900.0),
        ((EarlierHour(900.0, NAN),) * 3, 0.9, 0.0),
        ((EarlierHour(math.inf, 1.0),) * 3, 0.9, 0.0),
    ],
)
def test_a_surge_at_the_same_minute_of_two_in_three_hours_is_expected_where_hours_repeat(
    hours: tuple[EarlierHour, ...], likeness: float, expected: float
):
    assert hourly_surge(EarlierHours(hours, likeness)) == expected


def test_until_days_are_known_the_decision_says_that_it_is_of_earlier_hours_and_replays_from_its_json():
    policy = PoolPolicy(targets=(Target(Metric.REQUESTS_PER_S, 100.0),), max_replicas=20, season=SEASON)
    earlier = EarlierHours((SURGE, SURGE, SURGE), 0.8)
    observation = Observation("gpu", 1e9, Replicas(1), {Metric.REQUESTS_PER_S: Signal(90.0)}, earlier_hours=earlier)
    decision, _ = decide(policy, None, observation)
    assert (decision.desired, decision.rule, decision.demand) == (9, Rule.HOUR, 900.0)
    assert "At this minute earlier hours peaked at 900" in decision.sentences[1]
    assert from_json(Observation, to_json(observation)) == observation
    known = replace(observation, seasonal_peaks=(400.0,) * SEASON.min_days)
    assert decide(policy, None, known)[0].rule is Rule.SEASON
    assert decide(replace(policy, season=None), None, observation)[0].desired == 1


def test_the_history_knows_the_surge_at_this_minute_of_each_hour_and_how_alike_hours_are():
    history = DemandHistory(days=1)
    for second in range(0, 5 * HOUR_S, 30):
        history.record(second, 900.0 if second % HOUR_S < 300 else 100.0)
    now = 5 * HOUR_S - 30.0
    for at, peak in ((now, 900.0), (now - 1800.0, 100.0)):
        found = history.earlier_hours(at, 60.0, 3)
        assert [one.peak for one in found.hours] == [peak] * 3
        assert [one.mean for one in found.hours] == pytest.approx([500 / 3] * 3)
        assert found.likeness == pytest.approx(1.0)
    nothing = DemandHistory(days=1).earlier_hours(now, 60.0, 3)
    assert all(math.isnan(one) for one in (nothing.hours[0].peak, nothing.hours[0].mean, nothing.likeness))
