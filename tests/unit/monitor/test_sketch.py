"""Quantiles: the bound on their error, merging in any order, and values that nobody should have sent."""

import math
from collections import Counter

import numpy as np
import pytest
from headrace_monitor.statistics.summaries.sketch import EMPTY, LARGEST, RELATIVE_ERROR, from_buckets, sketch
from headrace_monitor.statistics.unsaid import NotEnoughData, OutOfRange
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

IN_RANGE = st.floats(-1e14, 1e14).filter(lambda x: x == 0 or abs(x) >= 1e-11)
VALUES = st_numpy.arrays(np.float64, st.integers(1, 60), elements=IN_RANGE)
ANYTHING = st_numpy.arrays(np.float64, st.integers(0, 40), elements=st.floats(allow_nan=True, allow_infinity=True))


@given(VALUES, st.floats(0, 1))
def test_every_quantile_is_within_the_relative_error(values: np.ndarray, q: float):
    exact = np.sort(values)[math.floor(q * (values.size - 1))]
    answer = sketch(values).quantile(q)
    assert isinstance(answer, float)
    assert abs(answer - exact) <= RELATIVE_ERROR * abs(exact) * (1 + 1e-9)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_merging_gives_the_same_sketch_in_any_order_and_grouping(a: np.ndarray, b: np.ndarray, c: np.ndarray):
    x, y, z = sketch(a), sketch(b), sketch(c)
    whole = sketch(np.concatenate([a, b, c]))
    assert x.merge(y).merge(z) == z.merge(x.merge(y)) == y.merge(z).merge(x).merge(EMPTY) == whole


@given(ANYTHING)
def test_nothing_that_is_sent_raises_or_is_lost(values: np.ndarray):
    summary = sketch(values)
    assert summary.count + summary.missing == values.size
    for q in (0.0, 0.5, 1.0):
        summary.quantile(q)


def test_an_empty_sketch_says_that_it_is_empty():
    assert EMPTY.quantile(0.5) == NotEnoughData(have=0, need=1)
    assert sketch([math.nan]).quantile(0.5) == NotEnoughData(have=0, need=1)


def test_what_is_beyond_the_buckets_is_said_to_be():
    assert sketch([1e200]).quantile(0.5) == OutOfRange(bound=LARGEST)
    assert sketch([-math.inf]).quantile(0.5) == OutOfRange(bound=LARGEST)


def test_one_huge_value_changes_no_quantile_of_the_others():
    latencies = np.random.default_rng(1).lognormal(3, 1, 10_000)
    spoiled = latencies.copy()
    spoiled[17] = 1e300
    before, after = sketch(latencies), sketch(spoiled)
    for q in (0.5, 0.95, 0.99):
        assert after.quantile(q) == pytest.approx(before.quantile(q), rel=2 * RELATIVE_ERROR)


def test_buckets_counted_by_the_rule_elsewhere_are_taken_over():
    values = np.random.default_rng(2).lognormal(-5, 2, 2_000)
    buckets = Counter(math.ceil(math.log(value) / math.log(1.01 / 0.99)) for value in values)
    taken_over = from_buckets(buckets, zero=3, minimum=0.0, maximum=float(values.max()))
    assert taken_over == sketch([*values, 0.0, 0.0, 0.0])


def test_buckets_beyond_the_range_count_as_its_ends():
    assert from_buckets({-10_000: 2, 10_000: 1}, minimum=1e-80, maximum=1e80) == sketch([1e-80, 1e-80, 1e80])
