"""What is remembered of earlier days."""

import math

from headrace_scaling.history import DAY_S, DemandHistory

NOW = 1_789_948_800.0 + 10 * DAY_S


def test_the_peaks_of_each_day_at_this_time_come_oldest_first():
    history = DemandHistory(days=3)
    for day in (3, 2, 1):
        for second in range(0, 600, 5):
            history.record(NOW - day * DAY_S + second, 100.0 * day + (50.0 if second == 100 else 0.0))
    peaks = history.peaks(NOW, 60.0)
    assert peaks == (300.0, 200.0, 100.0)
    assert history.peaks(NOW + 60, 60.0) == (350.0, 250.0, 150.0)
    assert all(math.isnan(peak) for peak in history.peaks(NOW + 3600, 60.0))


def test_today_is_no_earlier_day_and_old_days_are_forgotten():
    history = DemandHistory(days=2)
    assert history.peaks(NOW, 60.0) == ()
    history.record(NOW - 3 * DAY_S, 7.0)
    history.record(NOW, 9.0)
    assert all(math.isnan(peak) for peak in history.peaks(NOW, 60.0))
    history.record(NOW + DAY_S, 5.0)
    assert [peak for peak in history.peaks(NOW + DAY_S, 60.0) if peak == peak] == [9.0]


def test_a_clock_set_back_and_odd_values_change_nothing():
    history = DemandHistory(days=2)
    history.record(NOW, 9.0)
    for at, value in ((NOW - 3600, 50.0), (NOW, math.nan), (NOW, -1.0), (NOW, math.inf)):
        history.record(at, value)
    history.record(NOW + DAY_S, 1.0)
    assert history.peaks(NOW + DAY_S, 1.0)[-1] == 9.0


def test_a_long_horizon_sees_less_than_a_day():
    history = DemandHistory(days=2)
    for second in range(0, 2 * DAY_S, 600):
        history.record(NOW - 2 * DAY_S + second, float(second))
    peaks = history.peaks(NOW, 10 * DAY_S)
    assert peaks[0] < peaks[1] < 2 * DAY_S
