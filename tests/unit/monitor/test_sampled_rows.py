"""Rows that are in the log with different probabilities: all traffic counts alike, and no row for more than it says."""

import doctest
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from headrace_monitor.judge.performance.decisions import error_slices
from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn
from headrace_monitor.judge.windows.decisions.window_summaries import EMPTY, Window, even, windows_of
from headrace_monitor.record.log.decisions import sampled_rows
from headrace_monitor.record.log.decisions.sampled_rows import MOST_HALVINGS, evenly_sampled, halvings_of
from headrace_statistics import arrays, references
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.references import Reference, Source
from headrace_statistics.sketches import categories
from headrace_statistics.slices import Slice
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
AGE = MonitoredColumn("age", "feature.age", "age", 0, "FP32", ColumnType.NUMERIC)
shares = st.floats(0.001, 1)


def table(age: np.ndarray, probability: np.ndarray | list[float]) -> pa.Table:
    rows = len(age)
    times = pa.array([NOON] * rows, pa.timestamp("us", "UTC"))
    common = {"answer_time": times, "variant": ["main"] * rows, "served_from": ["online"] * rows}
    return pa.table({**common, "probability": pa.array(probability, pa.float64()), "feature.age": age})


def test_the_examples_are_as_they_say():
    assert doctest.testmod(arrays).failed == 0


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60), shares)
def test_thinned_counts_keep_their_total_and_where_it_lies(values, share):
    found = arrays.thinned(values, share)
    assert (found >= 0).all()
    assert np.abs(np.cumsum(found) - np.cumsum(values) * share).max() <= 0.5 + 1e-9


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=200), shares)
def test_thinned_numbers_are_a_summary_like_any_other(values, share):
    frozen = references.freeze_numeric(np.linspace(-1, 1, 300))
    whole = references.summarise_numeric(np.array(values, dtype=np.float64), frozen.edges)
    found = whole.thinned(share)
    assert abs(found.rows - whole.rows * share) <= 1
    assert 0 <= found.bins.below + found.bins.above <= found.bins.finite
    assert found.merge(whole).rows == found.rows + whole.rows


def test_thinned_categories_keep_the_shares_of_known_new_and_missing():
    frozen = categories.freeze(["a"] * 50 + ["b"] * 50)
    seen = categories.count(["a"] * 600 + ["b"] * 200 + ["c"] * 80 + ["d"] * 40 + [None] * 80, frozen)
    found = seen.thinned(0.25)
    assert found.counts.tolist() == [150, 50, 0]
    assert (found.missing, found.new, dict(found.new_names)) == (20, 30, {"c": 20, "d": 10})


def test_thinned_embeddings_keep_their_means():
    rng = np.random.default_rng(1)
    frozen = references.freeze_embedding(rng.normal(size=(500, 4)), rng)
    assert isinstance(frozen, references.EmbeddingReference)
    found = frozen.summary.thinned(0.1)
    assert found.count == 50
    assert np.allclose(found.mean, frozen.summary.mean)


def test_rows_come_into_a_window_of_their_probability_and_however_odd_that_is_there_are_few():
    rng = np.random.default_rng(2)
    frozen = {"age": references.freeze_numeric(rng.normal(size=500))}
    told = [1.0, 0.5, 0.5, 0.25]
    found = windows_of(table(rng.normal(size=4), told), [AGE], frozen, 3600)
    assert {key.probability: window.rows for key, window in found.items()} == {1.0: 1, 0.5: 2, 0.25: 1}
    odd = [*rng.random(500), np.nan, 0.0, -1.0, 1e-300, 2.0]
    assert len(windows_of(table(rng.normal(size=505), odd), [AGE], frozen, 3600)) <= MOST_HALVINGS + 1


def test_where_nothing_or_all_was_sampled_alike_every_row_counts():
    rng = np.random.default_rng(3)
    frozen = {"age": references.freeze_numeric(rng.normal(size=500))}
    (window,) = windows_of(table(rng.normal(size=700), [0.25] * 700), [AGE], frozen, 3600).values()
    assert even({0.25: window}) is not window
    assert even({0.25: window}).summaries["age"].rows == window.summaries["age"].rows == 700
    assert even({}) == EMPTY


def busy_hour(rng: np.random.Generator, *, shift: float = 0.0) -> pa.Table:
    """Return the log of an hour: quiet for most of it, and a rush of other people of whom an eighth is recorded."""
    quiet, rush = rng.normal(0, 1, 2_000), rng.normal(1, 1, 4_000 // 8)
    ages = np.concatenate([quiet, rush]) + shift
    return table(ages, np.concatenate([np.ones(2_000), np.full(500, 1 / 8)]))


def test_a_rush_that_was_sampled_is_no_drift_and_a_drift_is_still_one():
    rng = np.random.default_rng(4)
    training = np.concatenate([rng.normal(0, 1, 10_000), rng.normal(1, 1, 20_000)])
    columns = {"age": references.freeze_numeric(training)}
    reference = Reference(Source.ARTIFACT, "reference.parquet", NOON, columns, {})

    def alarmed(hour: pa.Table, *, evenly: bool) -> bool:
        by_probability = {key.probability: window for key, window in windows_of(hour, [AGE], columns, 3600).items()}
        window: Window = EMPTY
        if evenly:
            window = even(by_probability)
        else:
            for one in by_probability.values():
                window = window.merge(one)
        return any(report.alarm for report in evaluate(reference, window.summaries, level=0.01))

    clean = [busy_hour(rng) for _ in range(50)]
    assert sum(alarmed(hour, evenly=True) for hour in clean) <= 1
    assert sum(alarmed(hour, evenly=False) for hour in clean) >= 47  # what would be without
    assert sum(alarmed(busy_hour(rng, shift=0.6), evenly=True) for _ in range(50)) >= 47


def test_no_more_rows_are_told_than_the_sample_is_worth():
    hour = busy_hour(np.random.default_rng(5))
    columns = {"age": references.freeze_numeric(np.linspace(-3, 4, 1_000))}
    window = even({key.probability: one for key, one in windows_of(hour, [AGE], columns, 3600).items()})
    weights = np.concatenate([np.ones(2_000), np.full(500, 8.0)])
    kish = weights.sum() ** 2 / (weights**2).sum()
    assert window.summaries["age"].rows == 750 <= kish
    assert window.rows == 2_500


def test_rows_are_thinned_to_the_least_probability_among_them():
    rng = np.random.default_rng(6)
    hour = busy_hour(rng)
    found = evenly_sampled(hour, rng)
    rush = np.asarray(halvings_of(found)) == 3
    assert rush.sum() == 500
    assert 200 < (~rush).sum() < 300
    alike = table(np.zeros(10), [0.5] * 10)
    assert evenly_sampled(alike, rng) is alike


def test_one_row_of_hardly_any_probability_does_not_empty_a_window():
    assert doctest.testmod(sampled_rows).failed == 0
    rng = np.random.default_rng(7)
    hour = table(rng.normal(size=10_001), [*np.ones(10_000), 2.0**-20])
    columns = {"age": references.freeze_numeric(np.linspace(-3, 3, 1_000))}
    window = even({key.probability: one for key, one in windows_of(hour, [AGE], columns, 3600).items()})
    assert window.summaries["age"].rows == 10_001
    assert evenly_sampled(hour, rng).num_rows == 10_001
    rush = table(rng.normal(size=10_100), [*np.ones(10_000), *np.full(100, 2.0**-3)])
    window = even({key.probability: one for key, one in windows_of(rush, [AGE], columns, 3600).items()})
    assert window.summaries["age"].rows == 1_350


def test_errors_of_sampled_rows_count_for_those_that_they_stand_for_and_prove_no_more_than_themselves():
    quiet = {
        "variant": {"main": {0: [100, 2_000]}},
        "land": {"AT": {0: [50, 1_000]}, "DE": {0: [50, 1_000]}},
    }
    # 500 rows that stand for eight each: a tenth of them wrong.
    rush = {"variant": {"main": {3: [50, 500]}}, "land": {"AT": {3: [50, 500]}}}
    before, now = error_slices.added([quiet, rush]), error_slices.added([quiet])
    assert error_slices.stored(before["land"]["AT"])[:3] == [450, 5_000, 8]
    assert error_slices.worse(before, now) == ()
    now = {
        "variant": {"main": {0: [800, 2_000]}},
        "land": {"AT": {0: [750, 1_000]}, "DE": {0: [50, 1_000]}},
    }
    (found,) = error_slices.worse(before, now)
    assert (found.slice, found.rows) == (Slice("land", "AT"), 1_000)
    assert found.before == pytest.approx(0.09, abs=0.002)


def test_one_row_of_hardly_any_probability_hides_no_slice_whose_errors_have_risen():
    count = 1_000_000
    before = {
        "variant": {"main": {0: [0.05 * count, count]}},
        "land": {"AT": {0: [0.025 * count, count / 2]}, "DE": {0: [0.025 * count, count / 2]}},
    }
    now = {
        "variant": {"main": {0: [0.10 * count, count], 20: [1, 1]}},
        "land": {"AT": {0: [0.075 * count, count / 2], 20: [1, 1]}, "DE": {0: [0.025 * count, count / 2]}},
    }
    (found,) = error_slices.worse(before, now)
    assert (found.slice, found.rows) == (Slice("land", "AT"), count / 2 + 1)
    assert found.now == pytest.approx(0.15, abs=1e-4)


@pytest.mark.parametrize("stands_for", [1, 8, 2.0**20])
def test_counts_of_errors_are_stored_so_that_earlier_releases_read_them_and_theirs_are_read(stands_for):
    assert doctest.testmod(error_slices).failed == 0
    even = [5.0 * stands_for, 100.0 * stands_for, stands_for]
    assert error_slices.stored(error_slices.read(even)) == even
    uneven = error_slices.stored({0: [2, 10], 2: [1, 3]})
    assert uneven[:3] == [6, 22, 4]
    assert error_slices.read(uneven) == {0: (2, 10), 2: (1, 3)}
