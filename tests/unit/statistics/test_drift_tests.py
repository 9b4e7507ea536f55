"""PSI, KS, chi-square and proportions with a tolerance: by hand, against scipy, and where they cannot say anything."""

import doctest
import importlib
import pkgutil
from datetime import UTC, datetime
from typing import Any

import headrace_statistics
import numpy as np
import pytest
from headrace_statistics import multiplicity, proportions, references, tails, unconditional
from headrace_statistics.drift import categorical, ks, psi
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.drift.reports import Test
from headrace_statistics.inconclusive import NotEnoughData
from headrace_statistics.proportions import Proportion
from headrace_statistics.references import Reference, Source
from headrace_statistics.sketches import bins, categories
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import ArrayLike
from scipy import stats
from sklearn import datasets

from tests.kit.rows import each

COUNTS = st_numpy.arrays(np.int64, 5, elements=st.integers(0, 10**9)).filter(lambda c: c.sum() >= 50)
MODULES = [name for _, name, _ in pkgutil.walk_packages(headrace_statistics.__path__, "headrace_statistics.")]


@each("name", MODULES)
def test_examples_in_the_docstrings_are_true(name: str):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_psi_of_two_bins_worked_by_hand():
    # (50.5, 50.5)/101 and (80.5, 20.5)/101: (.5 - .797)(ln .5/.797) + (.5 - .203)(ln .5/.203)
    assert psi.statistic([50, 50], [80, 20]) == pytest.approx(0.4063, abs=1e-4)


@given(COUNTS, COUNTS, st.permutations(range(5)))
def test_psi_is_symmetric_positive_and_blind_to_the_order_of_bins(a: np.ndarray, b: np.ndarray, order: list[int]):
    assert psi.statistic(a, b) == pytest.approx(psi.statistic(b, a), rel=1e-9, abs=1e-12)
    assert psi.statistic(a, b) == pytest.approx(psi.statistic(a[order], b[order]), rel=1e-9, abs=1e-12)
    assert psi.statistic(a, b) >= 0
    assert psi.statistic(a, a) == 0


@given(COUNTS, COUNTS, st.floats(0.001, 1), st.floats(0.001, 1))
def test_p_values_are_probabilities_and_grow_with_the_tolerance(a: np.ndarray, b: np.ndarray, one: float, two: float):
    for test in (psi, ks):
        strict, lax = (test.p_value(a, b, tolerance=tolerance) for tolerance in sorted((one, two)))
        assert 0 <= strict <= lax + 1e-9 <= 1 + 1e-9


def test_ks_on_counts_is_that_of_the_values_they_stand_for():
    a, b = np.array([30, 40, 50]), np.array([60, 50, 40])
    exact, _ = stats.ks_2samp(np.repeat([0, 1, 2], a), np.repeat([0, 1, 2], b), method="asymp")
    assert ks.statistic(a, b) == pytest.approx(exact)


@each("rows", range(50, 110))
def test_with_no_change_at_all_ks_alarms_at_most_once_in_a_hundred_evaluations(rows: int):
    steps = range(1, rows + 1)
    alarms = [bool(ks.p_value([step, rows - step], [0, rows], tolerance=0.05) <= 0.05) for step in steps]
    first = steps[alarms.index(True)]
    # Rows that differ by exactly the first step that alarms: their p says how often chance reaches it.
    apart: Any = stats.ks_2samp(np.arange(rows), np.arange(rows) + first - 0.5, method="exact")
    assert apart.statistic == pytest.approx(first / rows)
    assert apart.pvalue <= 0.01


def test_chi_square_is_scipys():
    a, b = np.array([30, 40, 50]), np.array([60, 50, 40])
    exact, *_ = stats.chi2_contingency(np.stack([a, b]), correction=False)
    assert categorical.chi_square(a, b) == pytest.approx(exact)


def test_w_squared_is_chi_square_by_the_rows_where_both_sides_have_as_many():
    a, b = np.array([40, 50, 60]), np.array([60, 50, 40])
    assert categorical.w_squared(a, b) / (1 / 150 + 1 / 150) == pytest.approx(categorical.chi_square(a, b))


@given(COUNTS, COUNTS, st.integers(1, 1000), st.lists(st.integers(0, 2), min_size=5, max_size=5))
def test_w_squared_is_of_the_shares_alone_and_pooling_never_makes_it_larger(
    a: np.ndarray, b: np.ndarray, times: int, into: list[int]
):
    size = categorical.w_squared(a, b)
    assert 0 <= size <= 4 + 1e-9
    assert categorical.w_squared(b, a) == pytest.approx(size)
    assert categorical.w_squared(a * times, b) == pytest.approx(size)
    pooled = [np.bincount(into, weights=counts, minlength=3) for counts in (a, b)]
    assert categorical.w_squared(*pooled) <= size + 1e-9


def _alarms(p: np.ndarray, q: np.ndarray, n: int, m: int, draws: int = 200) -> float:
    rng = np.random.default_rng(20)
    changes = [
        categorical.compare(
            categories.CategoryCounts(np.append(before, 0), 0, 0, ""),
            categories.CategoryCounts(np.append(now, 0), 0, 0, ""),
            tolerance=0.05,
            share_tolerance=0.02,
        )
        for before, now in zip(rng.multinomial(n, p, draws), rng.multinomial(m, q, draws), strict=True)
    ]
    return float(np.mean([isinstance(change, categorical.CategoryChange) and change.p <= 0.05 for change in changes]))


def _one_of_50_grown_to(share: float) -> np.ndarray:
    return np.r_[share, np.full(49, (1 - share) / 49)]


@pytest.mark.parametrize("rows", [(200, 2_000), (1_000, 1_000), (10_000, 100_000), (100_000, 10_000)], ids=str)
def test_categories_alarm_no_oftener_than_allowed_whatever_the_two_numbers_of_rows(rows: tuple[int, int]):
    even = _one_of_50_grown_to(0.02)
    assert _alarms(even, even, *rows) <= 0.01
    # w squared .0499, at the edge of what is tolerated.
    assert _alarms(even, _one_of_50_grown_to(0.065), *rows) <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


@pytest.mark.parametrize("rows", [(2_000, 2_000), (1_010, 101_000), (101_000, 1_010)], ids=str)
def test_the_same_change_of_categories_is_found_as_often_whichever_side_has_more_rows(rows: tuple[int, int]):
    # 1/n + 1/m is .001 for each.
    assert 0.65 <= _alarms(_one_of_50_grown_to(0.02), _one_of_50_grown_to(0.09), *rows) <= 0.9


def test_a_category_that_was_rare_is_counted_alone_once_it_is_frequent_on_either_side():
    rare = np.r_[np.full(200, 0.0025), np.full(5, 0.1)]
    grown = np.r_[0.1, rare[1:] * 0.9 / (1 - 0.0025)]
    assert _alarms(rare, grown, 1_000, 1_000, draws=20) == 1.0
    assert _alarms(grown, rare, 1_000, 1_000, draws=20) == 1.0


@pytest.mark.parametrize("lam", [0.0, 1.0, 1e3, 9e3, 2e4, 1e6, 1e9])
def test_the_tail_of_noncentral_chi_square_is_right_at_any_size(lam: float):
    rng = np.random.default_rng(6)
    draws = rng.chisquare(8, 200_000) + (rng.normal(size=200_000) + np.sqrt(lam)) ** 2
    for q in (0.5, 0.9, 0.99):
        x = np.quantile(draws, q)
        assert tails.noncentral_chi2(x, 9, lam) == pytest.approx(1 - q, rel=0.08)


def test_the_two_ways_to_that_tail_agree_where_they_meet():
    x = np.linspace(8_500, 11_500, 50)
    below, above = (tails.noncentral_chi2(x, 9, lam) for lam in (10_000.0, 10_000.0001))
    assert np.allclose(below, above, atol=1e-5)


@given(st.integers(0, 200), st.integers(1, 200), st.integers(0, 200), st.integers(1, 200), st.floats(0, 0.5))
def test_a_rise_of_a_share_is_a_fall_of_the_rest(k: int, n: int, j: int, m: int, tolerance: float):
    before, now = Proportion(min(k, n), n), Proportion(min(j, m), m)
    up, down = (
        proportions.rise(before, now, tolerance=tolerance),
        proportions.fall(before.others, now.others, tolerance=tolerance),
    )
    assert not isinstance(up, NotEnoughData)
    assert not isinstance(down, NotEnoughData)
    assert up.p == down.p
    assert (up.difference, up.low) == (pytest.approx(-down.difference), pytest.approx(-down.high))
    assert up.low <= up.difference <= up.high
    assert 0 < up.p <= 1


def test_the_p_of_a_share_is_that_of_every_pair_of_counts_as_extreme():
    n, m, x, y, tolerance = 40, 60, 3, 14, 0.05
    change = proportions.rise(Proportion(x, n), Proportion(y, m), tolerance=tolerance)
    assert not isinstance(change, NotEnoughData)
    first, second = np.arange(n + 1.0)[:, None], np.arange(m + 1.0)[None, :]
    distance = unconditional.distance
    extreme = distance(first, n, second, m, tolerance) >= distance(x, n, y, m, tolerance) - 1e-9
    shares = np.linspace(0, 1 - tolerance, 400)
    chances = [
        float((stats.binom.pmf(first, n, p) * stats.binom.pmf(second, m, p + tolerance) * extreme).sum())
        for p in shares
    ]
    assert change.p == pytest.approx(max(chances), rel=0.02)


@pytest.mark.parametrize("of", [10**3, 10**6, 10**9])
def test_shares_of_any_size_are_judged(of: int):
    change = proportions.rise(Proportion(of // 100, of), Proportion(of // 10, of), tolerance=0.01)
    assert not isinstance(change, NotEnoughData)
    assert change.p < 1e-6


@pytest.mark.parametrize("of", [1, 2, 50, 10**6, 10**9])
def test_bounds_of_shares_are_shares_at_any_level(of: int):
    for count in {0, 1, of // 2, of - 1, of}:
        for level in (1e-100, 1e-12, 0.05, 1.0):
            low, high = proportions.interval(Proportion(count, of), level)
            assert 0 <= low <= count / of <= high <= 1


def test_no_rows_is_no_answer():
    assert proportions.rise(Proportion(0, 0), Proportion(1, 2)) == NotEnoughData(have=0, need=1)
    assert psi.compare([5, 5], [500, 500], tolerance=0.05) == NotEnoughData(have=10, need=50)
    assert ks.compare([500, 500], [0, 0], tolerance=0.05) == NotEnoughData(have=0, need=50)


def test_one_bin_never_alarms():
    assert psi.p_value([1000], [1000], tolerance=0.05) == 1.0


@pytest.mark.parametrize("n", [10**6, 10**9, 10**12])
def test_a_tiny_difference_in_a_huge_sample_is_no_alarm_and_a_large_one_is(n: int):
    reference = [n // 2, n // 2]
    small, large = [n // 2 + n // 50, n // 2 - n // 50], [n // 2 + n // 4, n // 2 - n // 4]
    for test in (psi, ks):
        assert test.p_value(reference, small, tolerance=0.05) > 0.99
        assert test.p_value(reference, large, tolerance=0.05) < 1e-9


def test_adjusted_p_values_are_scipys():
    p = np.random.default_rng(7).random(50) ** 3
    assert np.allclose(multiplicity.benjamini_hochberg(p), stats.false_discovery_control(p))


def test_what_was_not_tested_does_not_count_as_a_test():
    adjusted = multiplicity.benjamini_hochberg([0.01, np.nan, 0.04])
    assert adjusted[[0, 2]].tolist() == [0.02, 0.04]
    assert np.isnan(adjusted[1])


def _categories(**times: int) -> list[str]:
    return [name for name, count in times.items() for _ in range(count)]


def test_a_changed_mix_of_categories_is_found_and_its_size_told():
    values = _categories(a=500, b=300, c=200)
    frozen = categories.freeze(values)
    reference = categories.count(values, frozen)
    same = categorical.compare(reference, reference, tolerance=0.05, share_tolerance=0.02)
    moved = categorical.compare(
        reference, categories.count(_categories(a=200, b=300, c=500), frozen), tolerance=0.05, share_tolerance=0.02
    )
    assert isinstance(same, categorical.CategoryChange)
    assert isinstance(moved, categorical.CategoryChange)
    assert (same.p, same.effect, same.exact) == (1.0, 0.0, False)
    assert moved.p < 1e-9
    assert moved.effect == pytest.approx(2 * 0.3**2 / 0.35, rel=0.05)


def test_few_rows_are_tested_exactly():
    values = _categories(a=198, b=2)
    frozen = categories.freeze(values)
    change = categorical.compare(
        categories.count(values, frozen),
        categories.count(_categories(a=10, b=10), frozen),
        tolerance=0.05,
        share_tolerance=0.02,
    )
    assert isinstance(change, categorical.CategoryChange)
    assert change.exact
    assert change.p < 0.005


@pytest.mark.parametrize(("n", "m"), [(25, 25), (200, 20), (1_000, 5_000)])
def test_names_that_the_reference_has_by_luck_have_not_fallen(n: int, m: int):
    values = [f"name {number}" for number in range(n)]
    frozen = categories.freeze(values)
    later = categories.count([f"name {number}" for number in range(n, n + m)], frozen)
    change = categorical.compare(categories.count(values, frozen), later, tolerance=0.05, share_tolerance=0.02)
    assert isinstance(change, categorical.CategoryChange)
    assert change.p == 1.0


@pytest.mark.parametrize("share", [0.02, 0.03])
def test_a_rare_value_that_becomes_frequent_is_found_alike_as_a_number_and_as_a_category(share: float):
    found = []
    for as_value in (float, str):
        before, now = (
            [as_value(value) for value in [1] * rare + [0] * (2_000 - rare)] for rare in (10, round(share * 2_000))
        )
        frozen = references.freeze_numeric(before) if as_value is float else references.freeze_categorical(before)
        reference = Reference(Source.ARTIFACT, "r", datetime.now(UTC), {"flag": frozen}, {})
        reports = evaluate(reference, {"flag": references.summarise(frozen, now)}, level=0.05)
        found.append({report.test: report.p for report in reports}[Test.SPIKE])
    assert found[0] == found[1]
    assert found[0] is not None
    assert found[0] < 0.02


def test_a_category_that_vanished_is_named_once_enough_rows_came():
    values = _categories(a=900, b=100)
    frozen = categories.freeze(values)
    reference = categories.count(values, frozen)

    def gone(rows: int) -> categorical.Vanished:
        window = categories.count(_categories(a=rows), frozen)
        return categorical.vanished(reference, window, frozen, tolerance=0.01)

    assert gone(20).p > 0.05
    assert (gone(500).names, gone(500).share_before) == (("b",), 0.1)
    assert gone(500).p < 1e-6


def test_the_more_categories_there_are_the_clearer_must_it_be_that_one_vanished():
    def p_of(**others: int) -> float:
        frozen = categories.freeze(_categories(gone=20, **others))
        before, now = (categories.count(_categories(**found), frozen) for found in ({"gone": 20, **others}, others))
        return categorical.vanished(before, now, frozen, tolerance=0.0).p

    few, many = p_of(a=490, b=490), p_of(**{f"c{at}": 98 for at in range(10)})
    assert 0.0 < few < many < 1.0


def test_categories_that_were_all_given_other_names_have_vanished():
    frozen = categories.freeze(_categories(a=600, b=400))
    reference = categories.count(_categories(a=600, b=400), frozen)
    renamed = categories.count(_categories(A=600, B=400), frozen)
    change = categorical.vanished(reference, renamed, frozen, tolerance=0.01)
    assert (change.names, change.share_before) == (("a", "b"), 0.6)
    assert change.p < 1e-6


def test_the_largest_distance_is_exact_where_there_are_few_different_values():
    measured, cultivar = datasets.load_wine(return_X_y=True)
    reference, window = measured[cultivar == 0, 0], measured[cultivar == 1, 0]
    frozen = references.freeze_numeric(reference)
    distance = float(ks.statistic(frozen.summary.bins.counts, bins.count(window, frozen.edges).counts))
    assert distance == pytest.approx(_largest_distance(reference, window), abs=1e-12)
    assert distance == pytest.approx(0.8732, abs=5e-5)


@given(st.lists(st.integers(0, 9), min_size=60, max_size=80), st.lists(st.integers(-5, 15), min_size=60, max_size=80))
def test_the_largest_distance_is_exact_for_whole_numbers(before: list[int], now: list[int]):
    frozen = references.freeze_numeric(np.array(before, dtype=float))
    distance = float(ks.statistic(frozen.summary.bins.counts, bins.count(np.array(now, float), frozen.edges).counts))
    assert distance == pytest.approx(_largest_distance(before, now), abs=1e-12)


def _largest_distance(a: ArrayLike, b: ArrayLike) -> float:
    return float(stats.ks_2samp(a, b, method="asymp")[0])  # pyright: ignore[reportArgumentType]
