"""Quantiles keep their promise whatever is merged, and what is kept is read back to the bit."""

import numpy as np
import pytest
from headrace_monitor.record.counters.decisions.tallies import Tally, decode, encode, shrunk, total
from headrace_router.data.telemetry import counters as histogram
from headrace_statistics.sketches.durations import (
    BUCKETS,
    NONE,
    RELATIVE_ERROR,
    Durations,
    durations,
    merge,
    middle_s,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

COUNTS = st.lists(st.integers(0, 2**40) | st.just(0), max_size=40)
DURATIONS = st.builds(durations, st.integers(0, BUCKETS - 40), COUNTS)
TALLIES = st.builds(
    Tally,
    DURATIONS,
    st.floats(0, 1e12),
    st.integers(0, 2**53),
    st.floats(0, 1e12),
    st.integers(0, 2**53),
    st.integers(0, 2**53),
)


def counted(seconds: np.ndarray) -> Durations:
    """Count durations as a data plane does."""
    seen = histogram.Histogram()
    for one in seconds:
        seen.add(float(one))
    return durations(0, seen.counts)


def test_the_buckets_are_those_of_data_planes():
    assert BUCKETS == histogram.BUCKETS
    assert [middle_s(bucket) for bucket in range(0, BUCKETS, 7)] == pytest.approx(
        [histogram.middle_s(bucket) for bucket in range(0, BUCKETS, 7)]
    )


@each("seed", range(4))
@each("q", [0.0, 0.5, 0.95, 0.99, 1.0])
def test_quantiles_are_within_the_relative_error_whatever_is_merged(seed, q):
    rng = np.random.default_rng(seed)
    # Two far-apart modes, as cached and computed answers have.
    seconds = np.concatenate([rng.lognormal(-8, 0.5, 900), rng.lognormal(-2, 0.8, 300)])
    parts = [counted(part) for part in np.array_split(rng.permutation(seconds), 7)]
    exact = np.quantile(seconds, q, method="inverted_cdf" if q == 0 else "lower")
    assert merge(parts).quantile_s(q) == pytest.approx(exact, rel=RELATIVE_ERROR + 1e-9)
    assert RELATIVE_ERROR < 0.006


def test_a_quantile_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no duration"):
        NONE.quantile_s(0.5)


@given(DURATIONS, DURATIONS)
def test_what_was_added_can_be_taken_off(one, other):
    both = merge([one, other])
    assert both.covers(other)
    assert both.minus(other) == one
    assert both == merge([other, one])


@given(st.integers(0, 20), st.integers(0, 20), COUNTS, COUNTS)
def test_covering_is_per_bucket(first, second, some, others):
    one, other = durations(first, some), durations(second, others)
    buckets = np.zeros((2, 64), dtype=np.int64)
    buckets[0, first : first + len(some)] = some
    buckets[1, second : second + len(others)] = others
    assert one.covers(other) == bool((buckets[0] >= buckets[1]).all())


@given(TALLIES)
def test_a_tally_is_read_back_to_the_bit(tally):
    assert decode(encode(tally)) == tally


@given(TALLIES, TALLIES)
def test_a_sum_has_not_shrunk_from_its_parts(one, other):
    assert shrunk(one, total([one, other])) is None


def test_small_counts_take_a_byte_each():
    assert len(encode(Tally(durations(5, [255] * 100)))) == len(encode(Tally())) + 100


def test_what_other_code_has_kept_is_refused():
    with pytest.raises(ValueError, match="format 9"):
        decode(b"\x09" + encode(Tally())[1:])
