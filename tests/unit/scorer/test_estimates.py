"""Estimates from a sample, and jobs that will be late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from headrace_scorer.decisions.estimates import Estimate, Measured, estimate, misses

NOW = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)
SAMPLE = Measured(rows=10_000, wall_s=1.0, cpu_s=1.0, startup_s=5.0)


def test_an_estimate_is_the_arithmetic_of_its_sample() -> None:
    told = estimate(SAMPLE, 50_000_000, workers=2, price_per_cpu_hour=0.04, window=timedelta(hours=4))
    assert told.rows_per_second == 20_000
    assert told.duration == timedelta(seconds=2505)
    # As the manifest will count them: of scoring, however long a busy machine takes to start it.
    assert told.cpu_hours == pytest.approx(5000 / 3600)
    assert told.cost == pytest.approx(0.04 * 5000 / 3600)
    assert told.fits is True
    assert estimate(SAMPLE, 50_000_000, workers=2, price_per_cpu_hour=0, window=timedelta(minutes=30)).fits is False


def test_rows_that_nobody_has_counted_leave_only_the_rate() -> None:
    told = estimate(SAMPLE, None, workers=1, price_per_cpu_hour=1, window=timedelta(hours=1))
    assert told == Estimate(None, 10_000, None, None, None, None)


@pytest.mark.parametrize(
    ("done", "rate", "rows", "late_s"),
    [
        pytest.param(0, 0.0, 10**6, None, id="nothing is known yet"),
        pytest.param(5_000, 1.0, 10**6, None, id="too few rows to judge by"),
        pytest.param(500_000, 1000.0, 10**6, None, id="in time"),
        pytest.param(500_000, 100.0, 10**6, 1400, id="late"),
        pytest.param(500_000, 137.0, 10**6, None, id="late by what can be caught up"),
        pytest.param(500_000, 100.0, None, None, id="nobody knows how many rows there are"),
    ],
)
def test_a_job_that_will_be_late_is_known_to_be(done: int, rate: float, rows: int | None, late_s: int | None) -> None:
    late = misses(NOW, NOW + HOUR, rows=rows, rows_done=done, rows_per_second=rate, window=timedelta(hours=2))
    assert late == (None if late_s is None else timedelta(seconds=late_s))


def test_a_deadline_that_has_passed_is_missed_by_what_is_still_to_do_as_well() -> None:
    told = {"rows": 10**6, "rows_done": 500_000, "rows_per_second": 500_000 / 7200, "window": HOUR}
    assert misses(NOW, NOW - HOUR, **told) == 3 * HOUR


def test_a_deadline_that_has_passed_is_missed_and_no_deadline_never() -> None:
    told = {"rows": None, "rows_done": 0, "rows_per_second": 0.0, "window": HOUR}
    assert misses(NOW, NOW - HOUR, **told) == HOUR
    assert misses(NOW, None, **told) is None


HOUR = timedelta(hours=1)
