"""Performance from summaries: against scikit-learn, by hand, merged, late, and where it cannot be said."""

import math

import numpy as np
import pytest
from headrace_monitor.statistics.change import error_rate, estimated
from headrace_monitor.statistics.change.error_rate import Detector
from headrace_monitor.statistics.performance import comparing, labels, maturity, regression
from headrace_monitor.statistics.performance.classification import classification
from headrace_monitor.statistics.shares import Share
from headrace_monitor.statistics.slices import Slice, explain_drift, explain_rise
from headrace_monitor.statistics.summaries import scores
from headrace_monitor.statistics.summaries.moments import moments
from headrace_monitor.statistics.unsaid import Constant, NotEnoughData, NotFinite, OneClass
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import stats
from sklearn import isotonic, metrics

ODD = st_numpy.arrays(np.float64, 12, elements=st.floats(allow_nan=True, allow_infinity=True))


def scored(rng: np.random.Generator, rows: int, slope: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are right when slope is 1."""
    logits = rng.normal(-0.5, 1.5, rows)
    return 1 / (1 + np.exp(-logits)), (rng.random(rows) < 1 / (1 + np.exp(-slope * logits))).astype(float)


def test_a_binary_question_is_measured_as_scikit_learn_does():
    score, answer = scored(np.random.default_rng(1), 20_000)
    bins = scores.freeze(score, threshold=0.4)
    result = classification(scores.count(score, answer, bins), bins)
    yes = score >= 0.4
    assert result.accuracy == metrics.accuracy_score(answer, yes)
    assert result.precision == pytest.approx(metrics.precision_score(answer, yes))
    assert result.recall == pytest.approx(metrics.recall_score(answer, yes))
    assert result.f1 == pytest.approx(metrics.f1_score(answer, yes))
    assert result.log_loss == pytest.approx(metrics.log_loss(answer, score))
    assert result.brier == pytest.approx(metrics.brier_score_loss(answer, score))
    assert result.auc == pytest.approx(metrics.roc_auc_score(answer, score), abs=2e-5)
    assert isinstance(result.calibration, float)
    assert result.calibration < 0.02


def test_scores_that_are_too_sure_of_themselves_are_badly_calibrated():
    score, answer = scored(np.random.default_rng(2), 20_000, slope=0.4)
    bins = scores.freeze(score)
    result = classification(scores.count(score, answer, bins), bins)
    assert isinstance(result.calibration, float)
    assert result.calibration > 0.1


def test_counts_of_scores_merge_to_those_of_all():
    score, answer = scored(np.random.default_rng(3), 1_000)
    bins = scores.freeze(score)
    merged = scores.count(score[:300], answer[:300], bins).merge(scores.count(score[300:], answer[300:], bins))
    whole = classification(scores.count(score, answer, bins), bins)
    parts = classification(merged, bins)
    assert (parts.accuracy, parts.auc) == (whole.accuracy, whole.auc)
    assert parts.log_loss == pytest.approx(whole.log_loss)


def test_one_class_has_accuracy_but_no_ranking():
    bins = scores.freeze([0.1, 0.9])
    result = classification(scores.count([0.1, 0.9], [1, 1], bins), bins)
    assert result.accuracy == 0.5
    assert result.auc == OneClass(positives=2, negatives=0)


@given(ODD, ODD)
def test_odd_scores_answers_and_numbers_are_left_out_and_never_raise(one: np.ndarray, two: np.ndarray):
    bins = scores.freeze(one)
    counted = scores.count(two, one, bins)
    assert counted.rows + counted.unusable == 12
    classification(counted, bins)
    measured = regression.regression(regression.errors(one, two))
    assert measured.rows == np.isfinite(one - two).sum() if np.isfinite(one).all() and np.isfinite(two).all() else True


def test_the_standard_error_of_auc_is_its_spread_over_samples():
    rng = np.random.default_rng(4)
    bins = scores.freeze(scored(rng, 20_000)[0])
    counted = [scores.count(*scored(rng, 500), bins) for _ in range(2_000)]
    areas = [area for area in map(scores.auc, counted) if isinstance(area, float)]
    errors = [error for error in map(scores.auc_error, counted) if isinstance(error, float)]
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.05)


def test_labels_are_confused_as_scikit_learn_says():
    rng = np.random.default_rng(5)
    true, predicted = rng.choice(["a", "b", "c"], 500), rng.choice(["a", "b", "c"], 500)
    table = labels.confusion(true, predicted, ["a", "b", "c"])
    assert table.table[:3, :3].tolist() == metrics.confusion_matrix(true, predicted).tolist()
    assert table.accuracy.value == metrics.accuracy_score(true, predicted)
    recalls = [quality.recall for quality in labels.by_label(table)]
    assert recalls == pytest.approx(metrics.recall_score(true, predicted, average=None))  # pyright: ignore[reportArgumentType]


def test_labels_that_the_contract_lacks_are_counted_together():
    table = labels.confusion(["a", "zz", "zz"], ["a", "zz", "a"], ["a"])
    assert table.table.tolist() == [[1, 0], [1, 1]]
    assert table.accuracy == Share(2, 3)


def test_errors_of_numbers_are_measured_as_scikit_learn_does():
    rng = np.random.default_rng(6)
    label = rng.normal(10, 3, 500)
    predicted = label + rng.normal(0.5, 1, 500)
    parts = regression.errors(predicted[:200], label[:200]).merge(regression.errors(predicted[200:], label[200:]))
    result = regression.regression(parts)
    assert result.mae == pytest.approx(metrics.mean_absolute_error(label, predicted))
    assert result.rmse == pytest.approx(metrics.root_mean_squared_error(label, predicted))
    assert result.bias == pytest.approx((predicted - label).mean())
    assert result.r2 == pytest.approx(metrics.r2_score(label, predicted))


def test_numbers_that_cannot_be_measured_say_why():
    assert regression.regression(regression.errors([], [])).mae == NotEnoughData(have=0, need=1)
    assert regression.regression(regression.errors([1, 2], [3, 3])).r2 == Constant(3.0)
    assert isinstance(regression.regression(regression.errors([1e200], [0.0])).rmse, NotFinite)


def test_a_window_is_mature_when_its_labels_are_there():
    young, old = maturity.Maturity(1000, 100), maturity.Maturity(1000, 480, expected_share=0.5)
    assert not maturity.is_mature(young)
    assert maturity.is_mature(old)
    assert old.merge(young).fraction == pytest.approx(580 / 1500)
    assert not maturity.is_mature(maturity.Maturity(0, 0))


def test_what_accuracy_may_still_become_narrows_with_maturity():
    low, high = maturity.accuracy_bounds(Share(90, 100), maturity.Maturity(200, 100))
    assert low < 0.5 < 0.9 < high
    full = maturity.accuracy_bounds(Share(180, 200), maturity.Maturity(200, 200))
    assert full[0] > 0.84
    assert full[1] < 0.94


def test_a_worse_mean_is_welchs():
    rng = np.random.default_rng(7)
    a, b = rng.exponential(1.0, 400), rng.exponential(1.3, 300)
    change = comparing.mean_rise(moments(a), moments(b))
    assert isinstance(change, comparing.MeanChange)
    _, p = stats.ttest_ind(b, a, equal_var=False, alternative="greater")
    assert change.p == pytest.approx(p)
    mirrored = comparing.mean_fall(moments(-a), moments(-b))
    assert isinstance(mirrored, comparing.MeanChange)
    assert (mirrored.p, mirrored.difference) == (pytest.approx(change.p), pytest.approx(-change.difference))


def test_a_fall_of_auc_is_found_and_a_tolerated_one_is_not():
    rng = np.random.default_rng(8)
    bins = scores.freeze(scored(rng, 5_000)[0])
    before, now = (scores.count(*scored(rng, 5_000, slope=slope), bins) for slope in (1.0, 0.5))
    found, tolerated = comparing.auc_fall(before, now), comparing.auc_fall(before, now, tolerance=0.2)
    assert isinstance(found, comparing.MeanChange)
    assert isinstance(tolerated, comparing.MeanChange)
    assert found.p < 1e-6
    assert tolerated.p > 0.9


def test_calibration_is_isotonic_regression():
    score, answer = scored(np.random.default_rng(9), 2_000, slope=0.5)
    calibration = estimated.calibrate(score, answer)
    assert isinstance(calibration, estimated.Calibration)
    theirs = isotonic.IsotonicRegression(out_of_bounds="clip").fit(score, answer)
    at = np.linspace(0, 1, 200)
    assert np.allclose(calibration.chances(at), theirs.predict(at))
    assert calibration.at.size < 200


def test_calibration_says_what_it_lacks():
    assert estimated.calibrate([0.5] * 10, [1] * 10) == NotEnoughData(have=10, need=300)
    assert estimated.calibrate([0.5] * 400, [1] * 400) == OneClass(positives=400, negatives=0)


def test_an_estimate_without_labels_is_near_what_labels_say_later():
    rng = np.random.default_rng(10)
    calibration = estimated.calibrate(*scored(rng, 20_000, slope=0.7))
    assert isinstance(calibration, estimated.Calibration)
    score, answer = scored(rng, 20_000, slope=0.7)
    harder = (np.abs(score - 0.5) < 0.3) | (rng.random(score.size) < 0.2)
    bins = scores.freeze(score)
    expected = estimated.estimate(score[harder], calibration, bins)
    realised = scores.count(score[harder], answer[harder], bins)
    estimate, truth = classification(expected.counts, bins), classification(realised, bins)
    assert estimate.accuracy == pytest.approx(truth.accuracy, abs=3 * expected.accuracy_error + 0.01)
    assert estimate.auc == pytest.approx(truth.auc, abs=0.02)


def test_a_band_is_three_spreads_of_the_chunks():
    values = [0.9, 0.91, 0.89, 0.9, 0.9]
    band = estimated.band(values)
    assert isinstance(band, estimated.Band)
    assert band.high - band.low == pytest.approx(6 * np.std(values, ddof=1))
    assert estimated.band([0.9, math.nan]) == NotEnoughData(have=1, need=5)


@given(st.lists(st.booleans(), max_size=30))
def test_the_evidence_is_the_sum_over_moments_of_change(errors: list[bool]):
    detector = Detector(allowed=0.1, run_length=1e9)
    watch = error_rate.observe_each(error_rate.start(detector), errors, detector)
    for rate, log_evidence in zip(detector.rates, watch.log_evidence, strict=True):
        ratios = [rate / 0.1 if error else (1 - rate) / 0.9 for error in errors]
        total = sum(math.prod(ratios[start:]) for start in range(len(errors)))
        assert math.exp(log_evidence) == pytest.approx(total)


def test_breakage_alarms_at_once_and_the_alarm_stays_until_it_is_dealt_with():
    detector = Detector(allowed=0.06)
    watch = error_rate.observe_each(error_rate.start(detector), [True] * 12, detector)
    assert watch.alarm
    assert error_rate.probable_rate(watch, detector) > 0.4
    assert error_rate.observe(watch, Share(0, 1000), detector).alarm
    assert error_rate.restarted(watch) == error_rate.start(detector)


def test_no_labels_change_nothing():
    detector = Detector(allowed=0.06)
    begun = error_rate.start(detector)
    assert error_rate.observe(begun, Share(0, 0), detector) == begun
    assert error_rate.probable_rate(begun, detector) == 0.06


def test_the_slice_that_fails_is_named_and_one_that_only_grew_is_not():
    de, fr, it = (Slice("country", name) for name in ("de", "fr", "it"))
    before = {de: Share(50, 1000), fr: Share(50, 1000), it: Share(40, 100)}
    now = {de: Share(300, 1000), fr: Share(50, 1000), it: Share(160, 400)}
    found = explain_rise(before, now, whole_before=Share(140, 2100), whole_now=Share(510, 2400))
    assert [each.slice for each in found] == [de]
    assert found[0].explained == pytest.approx(0.532, abs=0.001)
    assert str(found[0].slice) == "country = de"


def test_the_slice_that_drifted_is_named():
    flat, tilted = np.full(10, 100), np.r_[np.full(5, 20), np.full(5, 180)]
    de, fr = Slice("country", "de"), Slice("country", "fr")
    found = explain_drift(
        {de: flat, fr: flat}, {de: tilted, fr: flat}, whole_before=flat + flat, whole_now=tilted + flat
    )
    assert [(each.slice, each.explained) for each in found] == [(de, 1.0)]


def test_a_slice_that_grew_explains_the_drift_it_brings():
    low, high = np.r_[np.full(5, 200), np.zeros(5, int)], np.r_[np.zeros(5, int), np.full(5, 200)]
    new, old = Slice("device", "phone"), Slice("device", "desk")
    found = explain_drift(
        {new: high // 10, old: low}, {new: high, old: low}, whole_before=low + high // 10, whole_now=low + high
    )
    assert new in [each.slice for each in found]
