"""Durations in buckets: how far from the truth they may be, and that adding them up loses nothing."""

from __future__ import annotations

import math

import pytest
from headrace_router.data.telemetry.counters import (
    BUCKETS,
    LONGEST_LOG2_S,
    RELATIVE_ERROR,
    Histogram,
)
from hypothesis import given
from hypothesis import strategies as st

SECONDS = st.floats(1e-6, 3600.0)
MANY = st.lists(SECONDS, min_size=1, max_size=300)


def of(seconds: list[float]) -> Histogram:
    histogram = Histogram()
    for one in seconds:
        histogram.add(one)
    return histogram


def exact(seconds: list[float], share: float) -> float:
    return sorted(seconds)[math.floor(share * (len(seconds) - 1))]


def test_the_error_is_less_than_promised():
    assert RELATIVE_ERROR < 0.01


@given(MANY, st.floats(0.0, 1.0))
def test_any_quantile_is_within_the_relative_error(seconds: list[float], share: float):
    (found,) = of(seconds).quantiles([share])
    assert found == pytest.approx(exact(seconds, share), rel=RELATIVE_ERROR + 1e-9)


@given(MANY)
def test_bounds_are_kept_within_the_relative_error(seconds: list[float]):
    bounds = (0.0005, 0.01, 0.25, 10.0)
    for bound, seen in zip(bounds, of(seconds).up_to(bounds), strict=True):
        least = sum(one <= bound * (1 - 2 * RELATIVE_ERROR) for one in seconds)
        most = sum(one <= bound * (1 + 2 * RELATIVE_ERROR) for one in seconds)
        assert least <= seen <= most


@pytest.mark.parametrize("seconds", [0.0, -1e-9, 1e-9, 1e9])
def test_what_no_clock_should_say_is_counted_all_the_same(seconds: float):
    histogram = of([seconds])
    assert histogram.count() == 1
    assert len(histogram.counts) <= BUCKETS


def test_nothing_seen_has_no_quantile():
    with pytest.raises(ValueError, match="nothing was observed"):
        Histogram().quantiles([0.5])
    assert Histogram().up_to((0.1, 1.0)) == [0, 0]


def test_an_infinite_duration_counts_as_the_longest():
    seen = Histogram()
    seen.add(math.inf)
    seen.add(1.0)
    assert seen.count() == 2
    assert seen.sum_s == 2.0**LONGEST_LOG2_S + 1.0
