"""Rows of the log with their outcomes, as sums and as measures: against numpy and scikit-learn, merged in any order."""

import random
from datetime import UTC, datetime

import numpy as np
import pytest
from headrace_monitor.judge.performance.decisions.error_slices import MAX_KEPT, added, evidence_of
from headrace_monitor.judge.performance.decisions.joins import (
    MAX_SLICES,
    OTHER_SLICES,
    Group,
    VersionInfo,
    summaries_of,
)
from headrace_monitor.judge.performance.decisions.means import Mean, mean_of
from headrace_monitor.judge.performance.decisions.measures import Measure, measures
from headrace_monitor.judge.performance.store import measure_of
from headrace_monitor.record.log.decisions.class_names import Classes
from headrace_statistics.arrays import floats
from headrace_statistics.calibration import Calibration, calibrate
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from tests.kit.monitor.log_files import prediction_ids, records

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@given(numbers, st.data())
def test_means_merge_in_any_grouping_to_those_of_all_rows_at_once(values, data):
    array = np.array(values)
    weights = np.array(data.draw(st.lists(st.floats(1, 100), min_size=array.size, max_size=array.size)))
    whole, merged = mean_of(array, weights), Mean()
    cuts = sorted(data.draw(st.lists(st.integers(0, array.size), max_size=4)))
    for first, end in zip([0, *cuts], [*cuts, array.size], strict=True):
        merged = merged.merge(mean_of(array[first:end], weights[first:end]))
    assert merged.rows == whole.rows
    assert merged.mean == pytest.approx(np.average(array, weights=weights), rel=1e-9, abs=1e-6)
    assert merged.spread == pytest.approx(whole.spread, rel=1e-6, abs=1e-3)


def test_a_row_that_stands_for_ten_counts_as_ten_but_says_no_more_than_one():
    rng = np.random.default_rng(1)
    # One half was sampled to a tenth: were it not weighed, the mean would lie at .2 instead of .5.
    rare, common = rng.binomial(1, 0.9, 500).astype(float), rng.binomial(1, 0.1, 5000).astype(float)
    weights = np.concatenate([np.full(500, 10.0), np.ones(5000)])
    mean = mean_of(np.concatenate([rare, common]), weights)
    assert abs(mean.mean - 0.5) < 0.02
    assert (mean.rows, mean.weight) == (5500, 10_000)
    low, high = mean.share_interval() or (0, 0)
    assert low < 0.5 < high
    assert high - low > 0.04  # of 10,000 rows it would be half of that


def table(count, **columns):
    ids = prediction_ids([NOON] * count, random.Random(1))
    return ids, records("m", "v1", ids, [NOON] * count, **columns).combine_chunks().to_batches()[0]


def said(batch, outcomes, about, *, threshold=None):
    found = summaries_of(batch, outcomes, about, slice_by="", threshold=threshold, known_slices=set())
    known = about.get("v1")
    calibration = None if known is None else known.calibration
    told = measures(found[Group("v1", "main", "")], threshold=threshold, calibration=calibration)
    return {one.name: one for one in told}


def labels(ids, told):
    return {(one, 0): {"label": value} for one, value in zip(ids, told, strict=True)}


def test_labels_by_name_and_by_index_are_the_same_labels():
    names = ("ham", "spam", "eggs")
    ids, batch = table(4, prediction_label=["ham", "spam", "eggs", "spam"])
    about = {"v1": VersionInfo(Classes(names))}
    for told in (["ham", "spam", "eggs", "spam"], [0.0, 1.0, 2.0, 1.0], ["0", "1", "2", "1"]):
        assert said(batch, labels(ids, told), about)["accuracy"].value == 1.0
    assert said(batch, labels(ids, ["ham", "toast", 7.0, "spam"]), about)["accuracy"].value == 0.5


def test_labels_of_classes_without_names_are_their_indexes():
    ids, batch = table(3, prediction_label=["0", "1", "2"])
    assert said(batch, labels(ids, [0.0, 1.0, 1.0]), {"v1": VersionInfo(Classes())})["accuracy"].value == pytest.approx(
        2 / 3
    )


def test_a_row_of_which_nothing_was_predicted_is_neither_right_nor_wrong():
    score = [0.9, float("nan"), 0.2, 0.8]
    guesses = [None if one != one else str(int(one >= 0.5)) for one in score]
    ids, batch = table(4, prediction_label=guesses, prediction_score=score)
    for threshold in (None, 0.5):
        found = said(batch, labels(ids, [1.0, 1.0, 0.0, 0.0]), {"v1": VersionInfo(Classes())}, threshold=threshold)
        assert (found["accuracy"].value, found["accuracy"].rows) == (pytest.approx(2 / 3), 3)


def test_errors_of_quantities_agree_with_scikit_learn_and_what_is_no_number_is_no_label():
    rng = np.random.default_rng(2)
    predicted, label = rng.normal(10, 3, 500), rng.normal(10, 3, 500)
    ids, batch = table(500, prediction_value=predicted, prediction_label=[None] * 500)
    outcomes = labels(ids, label.tolist())
    outcomes[ids[0], 0] = {"label": "many"}
    outcomes[ids[1], 0] = {"label": str(label[1])}
    found = said(batch, outcomes, {"v1": VersionInfo(Classes())})
    assert found["mae"].value == pytest.approx(metrics.mean_absolute_error(label[1:], predicted[1:]), rel=1e-12)
    assert found["rmse"].value == pytest.approx(metrics.root_mean_squared_error(label[1:], predicted[1:]), rel=1e-12)
    assert found["bias"].value == pytest.approx((predicted - label)[1:].mean(), rel=1e-9)
    assert found["mae"].rows == 499
    lower, value, upper = (getattr(found["mae"], name) or 0.0 for name in ("lower", "value", "upper"))
    assert 0 < lower < value < upper


def test_scores_that_are_no_probabilities_rank_and_say_no_more():
    rng = np.random.default_rng(3)
    score = rng.normal(0, 4, 2000)
    truth = rng.random(2000) < 1 / (1 + np.exp(-score))
    ids, batch = table(2000, prediction_label=[str(int(one > 0)) for one in score], prediction_score=score)
    found = said(batch, labels(ids, truth.astype(float).tolist()), {"v1": VersionInfo(Classes())})
    assert found["auc"].value == pytest.approx(metrics.roc_auc_score(truth, score), abs=1e-3)
    assert found["accuracy"].value == pytest.approx(np.mean((score > 0) == truth), abs=1e-12)
    for name in ("log_loss", "calibration_error", "precision"):
        assert (found[name].value, bool(found[name].note)) == (None, True)


def test_estimates_without_labels_are_near_what_labels_say_later_also_where_traffic_is_harder():
    rng = np.random.default_rng(10)
    logits = rng.normal(-0.5, 1.5, 40_000)
    score, truth = 1 / (1 + np.exp(-logits)), rng.random(40_000) < 1 / (1 + np.exp(-0.7 * logits))
    calibration = calibrate(score[:20_000], truth[:20_000])
    assert isinstance(calibration, Calibration)
    harder = np.flatnonzero((np.abs(score - 0.5) < 0.3) | (rng.random(40_000) < 0.2))
    harder = harder[harder >= 20_000]
    guesses = ["yes" if one >= 0.5 else "no" for one in score[harder]]
    ids, batch = table(harder.size, prediction_label=guesses, prediction_score=score[harder])
    about = {"v1": VersionInfo(Classes(("no", "yes")), calibration)}
    for threshold in (None, 0.3):
        estimate = said(batch, {}, about, threshold=threshold)
        real = said(batch, labels(ids, ["yes" if truth[one] else "no" for one in harder]), about, threshold=threshold)
        for name, within in (("accuracy", 0.02), ("f1", 0.02), ("auc", 0.02)):
            assert estimate[f"estimated_{name}"].value == pytest.approx(real[name].value, abs=within)
            assert estimate[f"estimated_{name}"].rows == harder.size
        lower, value, upper = (getattr(estimate["estimated_auc"], name) or 0.0 for name in ("lower", "value", "upper"))
        assert 0 < lower < value < upper


def test_intervals_of_what_few_labels_let_expect_are_not_too_high_on_average():
    middles = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        calibration = calibrate(rng.random(300), rng.random(300) < 0.5)
        assert isinstance(calibration, Calibration)
        score = rng.random(2_000)  # says nothing: its AUC is .5
        guesses = ["yes" if one >= 0.5 else "no" for one in score]
        _, batch = table(score.size, prediction_label=guesses, prediction_score=score)
        estimate = said(batch, {}, {"v1": VersionInfo(Classes(("no", "yes")), calibration)})["estimated_auc"]
        middles.append(((estimate.lower or 0.0) + (estimate.upper or 0.0)) / 2)
    assert np.mean(middles) == pytest.approx(0.5, abs=0.02)


def test_rows_that_stand_for_more_weigh_more_in_what_is_estimated():
    calibration = Calibration(floats([0.0, 1.0]), floats([0.0, 1.0]), 400)
    score = [0.9, 0.8, 0.3, 0.1] * 10
    columns = {"prediction_label": ["yes" if one > 0.5 else "no" for one in score], "prediction_score": score}
    about = {"v1": VersionInfo(Classes(("no", "yes")), calibration)}
    _, sampled = table(40, **columns, probability=[0.1, 1.0, 1.0, 0.1] * 10)
    _, even = table(40, **columns, probability=[0.1] * 40)
    # The rows that are surest stand for ten each.
    sure, as_many = (said(batch, {}, about)["estimated_auc"].value or 0.0 for batch in (sampled, even))
    assert sure > as_many > 0.5


def test_nothing_known_is_said_as_such_and_never_as_zero():
    _, batch = table(5, prediction_label=["a"] * 5)
    found = said(batch, {}, {})
    assert found["accuracy"].value is None
    assert found["accuracy"].note.startswith("too few")
    assert found["estimated_accuracy"].note.startswith("no calibration")


def test_a_column_of_very_many_values_is_told_in_bounded_slices():
    columns = {"prediction_label": ["a"] * 1000, "feature.id": [float(number) for number in range(1000)]}
    _, batch = table(1000, **columns)
    found = summaries_of(batch, {}, {}, slice_by="id", threshold=None, known_slices=set())
    assert len(found) == MAX_SLICES + 1
    assert found[Group("v1", "main", OTHER_SLICES)].labelled.rows == 1000 - MAX_SLICES


def test_wild_numbers_neither_break_the_sums_nor_the_others():
    wild = [1e308, -1e308, float("nan"), float("inf"), 1.0]
    ids, batch = table(5, prediction_value=wild, prediction_label=[None] * 5)
    found = said(batch, labels(ids, [1.0, 1e308, 2.0, 3.0, 4.0]), {"v1": VersionInfo(Classes())})
    assert found["bias"].rows >= 2
    for one in found.values():
        assert one.value is None or np.isfinite(one.value), one


def test_errors_are_counted_by_variant_feature_and_attribute_and_columns_are_bounded():
    rng = np.random.default_rng(9)
    land = rng.choice(["AT", "DE"], 400)
    given = [
        [("device", "phone" if index % 4 == 0 else "desk"), ("land", "XX"), (f"n{index}", "1")] for index in range(400)
    ]
    ids, batch = table(400, prediction_label=["a"] * 400, attributes=given, **{"feature.land": land.tolist()})
    told = ["b" if index % 4 == 0 else "a" for index in range(400)]
    found = evidence_of(batch, labels(ids, told), VersionInfo(Classes()), ["land"]).counts
    assert found["variant"] == {"main": {0: [100, 400]}}
    assert found["device"] == {"phone": {0: [100, 100]}, "desk": {0: [0, 300]}}
    # Of the feature, not of the attribute that is called like it.
    assert sum(rows for count in found["land"].values() for _, rows in count.values()) == 400
    assert set(found["land"]) == {"AT", "DE"}
    assert len(added([found] * 3)) <= MAX_KEPT
    many = [{"variant": {"": {0: [1, 2]}}, f"n{number}": {"1": {0: [1, 3]}}} for number in range(100)]
    assert len(added(many)) == MAX_KEPT
    assert added(many)["variant"] == {"": {0: [100, 200]}}


@pytest.mark.parametrize("name", ["note", "unsaid"])
def test_a_measure_that_an_earlier_release_stored_is_read(name):
    stored = {"name": "auc", "value": None, "lower": None, "upper": None, "rows": 3, name: "one class"}
    assert measure_of(stored) == Measure("auc", None, rows=3, note="one class")
