from __future__ import annotations

import math

import pytest
from headrace_router.data.lookup.cache_lookup import (
    JITTER,
    Bounds,
    Choice,
    StoredAnswer,
    age_of,
    bounds,
    choose,
    kept_for_s,
    own_ttl_s,
)
from headrace_router.data.tables.decisions.lookup_policy import Policy
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

AGES = st.floats(0, 1e6)
POLICIES = st.builds(
    Policy,
    stale_while_revalidate_s=AGES,
    stale_on_error_s=AGES,
    max_precomputed_age_s=AGES,
)
LATEST, EARLIEST = b"\x00", b"\xff"


def cached(age: float) -> StoredAnswer:
    return StoredAnswer(b"cached", age, False, "memory")


def precomputed(age: float) -> StoredAnswer:
    return StoredAnswer(b"precomputed", age, True, "memory")


BOUND = Bounds(cached=10.0, revalidated=20.0, on_error=30.0, precomputed=100.0)


@each(
    "one,other,expected",
    [
        pytest.param(cached(10.0), None, Choice(cached(10.0)), id="fresh to its last moment"),
        pytest.param(cached(10.1), None, Choice(cached(10.1), stale=True), id="stale while a new one is computed"),
        pytest.param(cached(20.0), None, Choice(cached(20.0), stale=True), id="stale to its last moment"),
        pytest.param(cached(20.1), None, Choice(None, too_old=True), id="too old"),
        pytest.param(None, precomputed(100.0), Choice(precomputed(100.0)), id="precomputed"),
        pytest.param(None, precomputed(100.1), Choice(None, too_old=True), id="precomputed, too old"),
        pytest.param(cached(3.0), precomputed(2.0), Choice(precomputed(2.0)), id="the younger: precomputed"),
        pytest.param(cached(2.0), precomputed(3.0), Choice(cached(2.0)), id="the younger: cached"),
        pytest.param(cached(15.0), precomputed(99.0), Choice(precomputed(99.0)), id="rather older than stale"),
        pytest.param(None, None, Choice(None), id="nothing"),
    ],
)
def test_choose(one, other, expected):
    assert choose(BOUND, one, other) == expected


@given(POLICIES, AGES, st.binary(min_size=1, max_size=1), AGES, AGES, AGES)
def test_nothing_older_than_the_caller_accepts_is_given(policy, ttl_s, key, max_age_s, age, other):
    bound = bounds(policy, ttl_s, key, max_age_s)
    chosen = choose(bound, cached(age), precomputed(other)).kept
    assert chosen is None or 0 < max_age_s >= chosen.age_s
    assert bound.on_error <= max_age_s


@given(POLICIES, AGES, st.binary(min_size=1, max_size=1), AGES)
def test_nothing_older_than_the_route_allows_is_given(policy, ttl_s, key, age):
    chosen = choose(bounds(policy, ttl_s, key, None), cached(age), None)
    assert chosen.kept is None or age <= ttl_s + policy.stale_while_revalidate_s
    assert chosen.kept is None or chosen.stale == (age > own_ttl_s(ttl_s, key))


def test_a_caller_may_accept_less_than_a_second():
    policy = Policy(stale_while_revalidate_s=5.0, stale_on_error_s=7.0)
    assert bounds(policy, 60.0, LATEST, 0.5) == Bounds(0.5, 0.5, 0.5, 0.5)


def test_where_a_route_gives_nothing_stale_an_answer_ends_with_its_own_time():
    """Also one whose time is shorter than the ttl."""
    own_s = own_ttl_s(60.0, EARLIEST)
    assert own_s < 60.0
    assert bounds(Policy(), 60.0, EARLIEST, None) == Bounds(own_s, -1.0, -1.0, math.inf)


@given(POLICIES, AGES)
def test_no_age_accepts_nothing_that_is_kept(policy, ttl_s):
    assert bounds(policy, ttl_s, LATEST, 0.0) == Bounds(-1.0, -1.0, -1.0, -1.0)


def test_entries_made_together_do_not_end_together():
    """All keys of a version begin alike."""
    times = {own_ttl_s(100.0, b"c:" + bytes([last])) for last in range(256)}
    assert len(times) == 256
    assert (min(times), max(times)) == (pytest.approx(100.0 * (1 - JITTER)), 100.0)


@pytest.mark.parametrize(
    ("computed_at_ms", "expected"),
    [
        pytest.param(40_000, 60.0, id="past"),
        pytest.param(100_400, 0.0, id="a little ahead: never negative"),
        pytest.param(101_000, 0.0, id="a second ahead, to the last moment"),
        pytest.param(3_700_000, None, id="an hour ahead: nobody knows"),
        pytest.param(-3_500_000, 3600.0, id="an hour behind"),
    ],
)
def test_ages_are_told_by_one_clock(computed_at_ms, expected):
    assert age_of(100_000.0, computed_at_ms) == expected


def test_answers_are_kept_for_as_long_as_anybody_may_want_them():
    assert kept_for_s(Policy(), 60.0) == 60.0
    assert kept_for_s(Policy(stale_while_revalidate_s=5.0, stale_on_error_s=7.0), 60.0) == 67.0
    assert kept_for_s(Policy(stale_on_error_s=7.0, longest_stale_s=3600.0), 60.0) == 3600.0


def test_requests_that_are_not_cached_may_still_get_precomputed_answers():
    assert bounds(Policy(), 60.0, None, None) == Bounds(-1.0, -1.0, -1.0, math.inf)
