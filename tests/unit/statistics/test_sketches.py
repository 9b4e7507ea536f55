"""Moments, bins and categories: against numpy, merged in any order, and given what nobody should have sent."""

import functools
import math
from collections import Counter

import numpy as np
import pytest
from headrace_statistics.inconclusive import NotEnoughData, NotFinite
from headrace_statistics.sketches import bins, categories, units
from headrace_statistics.sketches.moments import Moments, moments
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

FINITE = st_numpy.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6))
ANYTHING = st_numpy.arrays(np.float64, st.integers(0, 40), elements=st.floats(allow_nan=True, allow_infinity=True))
NAMES = st.lists(st.one_of(st.none(), st.text(max_size=3), st.integers(-3, 3), st.booleans(), st.binary(max_size=2)))


@given(FINITE, FINITE)
def test_merged_moments_are_those_of_all_values(a: np.ndarray, b: np.ndarray):
    together = np.concatenate([a, b])
    merged = moments(a).merge(moments(b))
    assert merged.count == together.size
    assert merged.mean == pytest.approx(together.mean(), abs=1e-6)
    assert merged.m2 == pytest.approx(((together - together.mean()) ** 2).sum(), rel=1e-6, abs=1e-3)
    assert (merged.minimum, merged.maximum) == (together.min(), together.max())


LARGEST = np.full(3, np.finfo(np.float64).max)


@given(ANYTHING, ANYTHING)
@example(LARGEST, LARGEST)
@example(np.full(3, 0.1), np.array([]))
def test_moments_of_anything_have_a_finite_mean_and_never_a_nan(a: np.ndarray, b: np.ndarray):
    merged = moments(a).merge(moments(b))
    assert merged.count + merged.left_out == a.size + b.size
    assert math.isfinite(merged.mean)
    assert merged.count == 0 or merged.minimum <= merged.mean <= merged.maximum
    assert merged.m2 >= 0


def test_spread_says_why_it_is_unknown():
    assert moments([3.0]).variance == NotEnoughData(have=1, need=2)
    assert isinstance(moments([1e308, -1e308]).variance, NotFinite)
    assert Moments().std == NotEnoughData(have=0, need=2)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_bin_counts_are_exact_and_merge_in_any_order(reference: np.ndarray, a: np.ndarray, b: np.ndarray):
    edges = bins.freeze(reference, bins=8)
    x, y = bins.count(a, edges), bins.count(b, edges)
    assert x.merge(y) == y.merge(x) == bins.count(np.concatenate([a, b]), edges)
    assert x.rows == a.size
    assert (x.counts >= 0).all()
    finite = a[np.isfinite(a)]
    for k in range(edges.bins):
        low = edges.inner[k - 1] if k else -np.inf
        high = edges.inner[k] if k < edges.inner.size else np.inf
        assert x.counts[k] == ((finite > low) & (finite <= high)).sum()
    assert (x.below, x.above) == ((finite < edges.low).sum(), (finite > edges.high).sum())


@pytest.mark.parametrize("shape", ["normal", "pareto", "rounded", "huge", "tiny"])
def test_many_values_are_counted_as_by_a_search(shape: str):
    rng = np.random.default_rng(8)
    values = {
        "normal": lambda: rng.normal(size=200_000),
        "pareto": lambda: rng.pareto(0.5, 200_000),
        "rounded": lambda: rng.normal(0, 30, 200_000).round(),
        "huge": lambda: rng.normal(0, 1e307, 200_000),
        "tiny": lambda: rng.normal(0, 1e-320, 200_000),
    }[shape]()
    edges = bins.freeze(values[:50_000])
    values[:3] = np.nan, np.inf, -np.inf
    seen = bins.count(values, edges)
    finite = values[np.isfinite(values)]
    expected = np.bincount(np.searchsorted(edges.inner, finite, side="left"), minlength=edges.bins)
    assert seen.counts.tolist() == expected.tolist()
    assert (seen.missing, seen.infinite) == (1, 2)
    assert (seen.below, seen.above) == ((finite < edges.low).sum(), (finite > edges.high).sum())


def test_bins_hold_equal_shares_of_a_reference_without_ties():
    values = np.random.default_rng(3).normal(size=10_000)
    edges = bins.freeze(values)
    assert edges.bins == bins.FINE_BINS + 2
    # Beside the 200, one below the least value with nothing in it, and one above the largest.
    assert bins.count(values, edges).counts.tolist() == [0, *[50] * 200, 0]


def test_a_value_that_holds_much_of_the_reference_has_a_bin_of_its_own():
    rng = np.random.default_rng(4)
    values = np.where(rng.random(10_000) < 0.4, 1.0, rng.normal(size=10_000))
    reference = bins.count(values, bins.freeze(values))
    assert reference.counts.max() == pytest.approx((values == 1.0).sum())


def test_fine_bins_are_grouped_into_runs_of_like_share():
    values = np.random.default_rng(5).normal(size=10_000)
    reference = bins.count(values, bins.freeze(values)).counts
    groups = bins.grouped(reference, 10)
    assert bins.added_up(reference, groups).tolist() == [1000] * 10
    assert bins.added_up(np.stack([reference, 2 * reference]), groups)[1].tolist() == [2000] * 10


def test_counts_on_different_edges_are_never_added():
    one, other = bins.freeze([1.0, 2.0, 3.0]), bins.freeze([1.0, 2.0, 4.0])
    with pytest.raises(ValueError, match="cannot be added"):
        bins.count([1.0], one).merge(bins.count([1.0], other))


@given(NAMES, NAMES, NAMES)
def test_category_counts_merge_in_any_order(reference: list, a: list, b: list):
    frozen = categories.freeze(reference, most=4)
    x, y = categories.count(a, frozen), categories.count(b, frozen)
    assert x.merge(y) == y.merge(x) == categories.count([*a, *b], frozen)
    assert x.rows == len(a)


@given(st.lists(st.integers(0, 500), max_size=400), st.lists(st.integers(0, 500), max_size=400))
def test_new_categories_are_bounded_and_exact_in_any_order(a: list[int], b: list[int]):
    frozen = categories.freeze(["known"])
    merged = categories.count(a, frozen).merge(categories.count(b, frozen))
    assert merged == categories.count([*b, *a], frozen)
    times = Counter(map(str, [*a, *b]))
    assert merged.new == times.total()
    assert len(merged.new_names) == min(len(times), categories.MAX_NEW)
    assert all(times[name] == count for name, count in merged.new_names.items())
    assert merged.new_dropped == (len(times) > categories.MAX_NEW)


def test_rare_categories_of_the_reference_are_known_ones():
    frozen = categories.freeze([*["a"] * 5, *["b"] * 3, "c", "d"], most=2)
    seen = categories.count(["c", "a", "e", None, math.nan], frozen)
    assert seen.counts.tolist() == [1, 0, 1]
    assert (seen.new, seen.missing, dict(seen.new_names)) == (1, 2, {"e": 1})


def test_an_endless_name_is_kept_short_and_apart_from_its_like():
    frozen = categories.freeze(["x"])
    seen = categories.count(["y" * 10_000, "y" * 10_001], frozen)
    assert len(seen.new_names) == 2
    assert all(len(name) < 200 for name in seen.new_names)


def test_halves_of_surrogate_pairs_are_names_like_any_other():
    frozen = categories.freeze(["\ud800", "\udfff x", "é"])
    assert "é" in frozen.names
    assert len(frozen.digest) == 16
    assert categories.count(["\ud800", "\udc00"], frozen).rows == 2


def _unit_rows(sizes: list[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hashes, cells and ranks of units that have one value each."""
    hashes = rng.integers(0, 2**63, len(sizes))
    ranks = rng.integers(0, 200, len(sizes))
    return np.repeat(hashes, sizes), np.repeat(ranks // 20, sizes), np.repeat(ranks, sizes)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_sums_of_units_are_the_same_however_their_rows_are_divided(sizes: list[int], files: int, seed: int):
    rng = np.random.default_rng(seed)
    hashes, cells, ranks = _unit_rows(sizes, rng)
    whole = units.Units(hashes).summed(cells, 10, ranks)
    file = rng.integers(0, files, hashes.size)
    parts = [units.Units(hashes[at]).summed(cells[at], 10, ranks[at]) for at in (file == one for one in range(files))]
    together = functools.reduce(lambda one, other: one.merge(other), parts)
    assert all(np.array_equal(getattr(whole, name), getattr(together, name)) for name in ("rows", "signed", "ranks"))
    assert whole.design_effect() == together.design_effect()


@pytest.mark.parametrize(
    "sizes", [[1] * 500, [5] * 400, [1] * 2_000 + [500], list(range(1, 100))], ids=["alone", "equal", "heavy", "rising"]
)
def test_what_buckets_say_of_units_is_near_what_all_rows_say(sizes: list[int]):
    rng = np.random.default_rng(3)
    found = []
    for _ in range(40):
        hashes, cells, ranks = _unit_rows(sizes, rng)
        made = units.Units(hashes)
        found.append(made.summed(cells, 10, ranks).design_effect() / made.exact_effect(cells, ranks))
    # More where a unit makes up much of the mean that it is held against.
    assert 0.88 <= np.mean(found) <= 2.5
    assert np.std(found) < 0.3


def test_the_effect_of_ranks_is_the_cluster_robust_variance_of_statsmodels():
    """0.15.0: OLS on a constant, cov_type "cluster" without correction, over the variance of independent rows."""
    sizes = [1, 7, 2, 9, 4, 4, 12, 3, 5, 5]
    unit, row = np.repeat(np.arange(10), sizes), np.arange(sum(sizes))
    ranks = (row * 37) % 101 + 40 * (row % 3) + 13 * unit
    assert units.Units(unit).exact_effect(row % 10, ranks) == pytest.approx(2.4356802896445235, rel=1e-12)


def test_a_change_that_all_rows_share_is_no_likeness_of_those_of_one_request():
    rng = np.random.default_rng(4)
    reference = units.Expected(np.full(10, 0.1), 500.0)
    found = []
    for _ in range(40):
        hashes = np.repeat(rng.integers(1, 2**62, 8), 100)
        ranks = np.clip(1_000 * rng.beta(4, 1, hashes.size), 0, 999).astype(np.int64)
        found.append(units.Units(hashes).summed(ranks // 100, 10, ranks).design_effect(reference))
    assert np.median(found) == 1
    assert max(found) < 30
