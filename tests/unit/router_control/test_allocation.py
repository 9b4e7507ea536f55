"""Buckets move only where shares change: by rule (hypothesis) and by the numbers that are promised."""

import itertools
from fractions import Fraction

import pytest
from headrace_router.buckets import BUCKETS, bucket_of
from headrace_router.control.decisions.allocation import (
    Range,
    allocate,
    bucket_counts,
    counts_of,
    moved_buckets,
    renamed,
    variant_at,
)
from hypothesis import given, settings
from hypothesis import strategies as st

weights = st.dictionaries(
    st.sampled_from("abcdefg"), st.floats(min_value=0, max_value=1000, allow_subnormal=False), min_size=1
).filter(lambda drawn: sum(drawn.values()) > 1e-3)
histories = st.lists(weights, min_size=1, max_size=8)


def after(history):
    ranges = ()
    for step in history:
        ranges = allocate(ranges, step)
    return ranges


@given(histories)
def test_every_bucket_has_a_variant_and_neighbours_are_coalesced(history):
    ranges = after(history)
    ends = [one.end for one in ranges]
    assert ends == sorted(set(ends))
    assert ends[-1] == BUCKETS
    assert all(left.variant != right.variant for left, right in itertools.pairwise(ranges))


@given(histories)
def test_shares_are_within_one_bucket(history):
    total = sum(Fraction(weight) for weight in history[-1].values())
    counts = counts_of(after(history))
    for name, weight in history[-1].items():
        assert abs(counts.get(name, 0) - Fraction(weight) / total * BUCKETS) < 1


@settings(max_examples=40)
@given(histories, weights)
def test_only_what_shares_need_moves_from_those_that_shrink_to_those_that_grow(history, change):
    before = after(history)
    now = allocate(before, change)
    held, has = counts_of(before), counts_of(now)
    needed = sum(max(0, has.get(name, 0) - held.get(name, 0)) for name in has)
    assert moved_buckets(before, now) == needed
    start = 0
    for end in sorted({one.end for one in (*before, *now)}):
        giver, taker = variant_at(before, start), variant_at(now, start)
        if giver != taker:
            assert giver is not None
            assert taker is not None
            assert held[giver] > has.get(giver, 0)
            assert has[taker] > held.get(taker, 0)
        start = end


@given(histories, weights, st.randoms())
def test_the_order_of_variants_plays_no_part(history, change, random):
    before = after(history)
    names = list(change)
    random.shuffle(names)
    assert allocate(before, change) == allocate(before, {name: change[name] for name in names})


@given(histories, weights)
def test_the_same_weights_again_move_nothing(history, change):
    ranges = allocate(after(history), change)
    assert allocate(ranges, change) == ranges
    assert allocate(ranges, {name: weight * 2 for name, weight in change.items()}) == ranges


@given(histories)
def test_a_change_adds_few_ranges(history):
    ranges = ()
    for step in history:
        before, ranges = ranges, allocate(ranges, step)
        assert len(ranges) <= len(before) + 2 * len(step)


def test_a_canary_that_grows_step_by_step_stays_in_two_ranges():
    ranges = ()
    for percent in (1, 5, 10, 25, 50, 75, 100):
        ranges = allocate(ranges, {"control": 100 - percent, "treatment": percent})
        assert len(ranges) <= 2


def test_three_variants_with_equal_shares_keep_the_spare_bucket_where_it_is():
    thirds = allocate((), {"a": 1, "b": 1, "c": 1})
    assert counts_of(thirds) == {"a": 333_334, "b": 333_333, "c": 333_333}
    without_c = allocate(thirds, {"a": 1, "b": 1})
    assert bucket_counts({"b": 1, "c": 1, "a": 1}, counts_of(thirds))["a"] == 333_334
    assert moved_buckets(thirds, without_c) == 333_333


def test_weights_must_leave_something_to_share():
    with pytest.raises(ValueError, match="above zero"):
        allocate((), {"a": 0.0})


def test_a_renamed_variant_keeps_its_buckets():
    ranges = renamed(allocate((), {"production": 1}), {"production": "control"})
    assert ranges == (Range(BUCKETS, "control"),)
    assert moved_buckets(ranges, allocate(ranges, {"control": 90, "treatment": 10})) == BUCKETS // 10


def variants_of(units, ranges, salt=b"0123456789abcdef"):
    return {unit: variant_at(ranges, bucket_of(salt, unit)) for unit in units}


def test_100k_units_get_shares_within_half_a_percent_point():
    units = [f"user-{number}" for number in range(100_000)]
    shares = {"control": 0.5, "blue": 0.3, "green": 0.15, "red": 0.05}
    variants = list(variants_of(units, allocate((), shares)).values())
    for name, share in shares.items():
        assert abs(variants.count(name) / len(variants) - share) < 0.005


def test_10_to_20_percent_loses_no_treated_unit_and_switches_at_most_10_5_percent():
    units = [f"user-{number}" for number in range(20_000)]
    ten = allocate((), {"control": 90, "treatment": 10})
    twenty = allocate(ten, {"control": 80, "treatment": 20})
    before, now = variants_of(units, ten), variants_of(units, twenty)
    assert not [unit for unit in units if before[unit] == "treatment" and now[unit] != "treatment"]
    assert sum(before[unit] != now[unit] for unit in units) <= 2_100


@pytest.mark.parametrize(
    ("change", "share"),
    [
        pytest.param({"control": 70, "red": 20, "blue": 10}, 0.1, id="one variant grows"),
        pytest.param({"control": 60, "red": 20, "blue": 20}, 0.2, id="both grow"),
        pytest.param({"control": 80, "red": 20, "blue": 0}, 0.1, id="one takes over the other"),
        pytest.param({"control": 90, "red": 10}, 0.1, id="one ends"),
        pytest.param({"control": 70, "red": 10, "blue": 10, "green": 10}, 0.1, id="a fourth comes"),
        pytest.param({"red": 50, "blue": 50}, 0.8, id="the control ends"),
    ],
)
def test_from_80_10_10_only_the_needed_share_of_users_moves(change, share):
    units = [f"user-{number}" for number in range(20_000)]
    first = allocate((), {"control": 80, "red": 10, "blue": 10})
    now = allocate(first, change)
    assert moved_buckets(first, now) == share * BUCKETS
    before, after = variants_of(units, first), variants_of(units, now)
    moved = [unit for unit in units if before[unit] != after[unit]]
    assert len(moved) / len(units) == pytest.approx(share, abs=0.01)
    grown = {name for name, weight in change.items() if weight > {"control": 80, "red": 10, "blue": 10}.get(name, 0)}
    assert {after[unit] for unit in moved} <= grown
