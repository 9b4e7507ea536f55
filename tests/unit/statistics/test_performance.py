"""Performance from summaries: against scikit-learn, by hand, merged, late, and where it cannot be said."""

import math

import numpy as np
import pytest
from headrace_statistics import e_detector, maturity
from headrace_statistics.calibration import Calibration, calibrate
from headrace_statistics.classification import classification
from headrace_statistics.e_detector import Detector
from headrace_statistics.inconclusive import NotEnoughData, OneClass
from headrace_statistics.proportions import Proportion
from headrace_statistics.sketches import scores
from headrace_statistics.sketches.scores import ScoreBins, ScoreCounts, grid
from headrace_statistics.slices import Slice, explain_drift, explain_rise
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import ArrayLike
from sklearn import isotonic, metrics

ODD = st_numpy.arrays(np.float64, 12, elements=st.floats(allow_nan=True, allow_infinity=True))


BINS = grid(0.5)


def counted(score: ArrayLike, answer: ArrayLike, bins: ScoreBins = BINS) -> ScoreCounts:
    array = np.asarray(score, dtype=np.float64)
    return scores.count(array, np.asarray(answer, dtype=np.float64), np.ones(array.size), bins)


def scored(rng: np.random.Generator, rows: int, slope: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are right when slope is 1."""
    logits = rng.normal(-0.5, 1.5, rows)
    return 1 / (1 + np.exp(-logits)), (rng.random(rows) < 1 / (1 + np.exp(-slope * logits))).astype(float)


def test_a_binary_question_is_measured_as_scikit_learn_does():
    score, answer = scored(np.random.default_rng(1), 20_000)
    bins = grid(0.4)
    result = classification(counted(score, answer, bins), bins)
    yes = score >= 0.4
    assert result.precision == pytest.approx(metrics.precision_score(answer, yes))
    assert result.recall == pytest.approx(metrics.recall_score(answer, yes))
    assert result.f1 == pytest.approx(metrics.f1_score(answer, yes))
    assert result.auc == pytest.approx(metrics.roc_auc_score(answer, score), abs=2e-5)
    assert isinstance(result.calibration, float)
    assert result.calibration < 0.02


def test_scores_that_are_too_sure_of_themselves_are_badly_calibrated():
    score, answer = scored(np.random.default_rng(2), 20_000, slope=0.4)
    result = classification(counted(score, answer), BINS)
    assert isinstance(result.calibration, float)
    assert result.calibration > 0.1


def test_counts_of_scores_merge_to_those_of_all():
    score, answer = scored(np.random.default_rng(3), 1_000)
    merged = counted(score[:300], answer[:300]).merge(counted(score[300:], answer[300:]))
    whole, parts = classification(counted(score, answer), BINS), classification(merged, BINS)
    assert (parts.f1, parts.auc) == (whole.f1, whole.auc)


def test_one_class_has_recall_but_no_ranking():
    result = classification(counted([0.1, 0.9], [1, 1]), BINS)
    assert result.recall == 0.5
    assert result.auc == OneClass(positives=2, negatives=0)


@given(ODD, ODD)
def test_odd_scores_and_answers_are_left_out_and_never_raise(one: np.ndarray, two: np.ndarray):
    found = counted(one, two)
    assert found.rows == pytest.approx((np.isfinite(one) & (two >= 0) & (two <= 1)).sum())
    classification(found, BINS)


def test_the_standard_error_of_auc_is_its_spread_over_samples():
    rng = np.random.default_rng(4)
    samples = [counted(*scored(rng, 500)) for _ in range(500)]
    areas = [area for area in map(scores.auc, samples) if isinstance(area, float)]
    errors = [error for error in map(scores.auc_error, samples) if isinstance(error, float)]
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.1)


def test_a_window_is_mature_when_its_labels_are_there():
    young, old = maturity.Maturity(1000, 100), maturity.Maturity(1000, 480, expected_share=0.5)
    assert not maturity.is_mature(young)
    assert maturity.is_mature(old)
    assert not maturity.is_mature(maturity.Maturity(0, 0))


def test_calibration_is_isotonic_regression():
    score, answer = scored(np.random.default_rng(9), 2_000, slope=0.5)
    calibration = calibrate(score, answer)
    assert isinstance(calibration, Calibration)
    theirs = isotonic.IsotonicRegression(out_of_bounds="clip").fit(score, answer)
    at = np.linspace(0, 1, 200)
    assert np.allclose(calibration.chances(at), theirs.predict(at))
    assert calibration.at.size < 200


def test_a_fit_to_few_labels_says_by_how_much_it_overstates_what_is_decided_right():
    rng = np.random.default_rng(6)
    off, mended, claimed = [], [], []
    for _ in range(150):
        logits = rng.normal(0.3, 1.5, 5_300)
        chance = 1 / (1 + np.exp(-logits))
        score, answer = chance[:300], rng.random(300) < chance[:300]
        calibration = calibrate(score, answer)
        assert isinstance(calibration, Calibration)
        later, truth = chance[300:], float(np.mean(np.maximum(chance[300:], 1 - chance[300:])))
        fitted = calibration.chances(later)
        estimate = float(np.mean(np.where(later >= 0.5, fitted, 1 - fitted)))
        share = calibration.leverage(later, np.where(later >= 0.5, 1.0, -1.0)) / later.size
        off.append(estimate - truth)
        mended.append(off[-1] - float(calibration.overstated @ share))
        claimed.append(float(calibration.noise @ share**2))
    assert np.mean(off) > 0.006
    assert abs(np.mean(mended)) < 0.005
    assert np.std(mended) == pytest.approx(np.mean(claimed) ** 0.5, rel=0.2)


def test_calibration_says_what_it_lacks():
    assert calibrate([0.5] * 10, [1] * 10) == NotEnoughData(have=10, need=300)
    assert calibrate([0.5] * 400, [1] * 400) == OneClass(positives=400, negatives=0)


@given(st.lists(st.booleans(), max_size=30))
def test_the_evidence_is_the_sum_over_moments_of_change(errors: list[bool]):
    detector = Detector(allowed=0.1, run_length=1e9)
    watch = e_detector.observe_each(e_detector.start(detector), errors, detector)
    for rate, log_evidence in zip(detector.rates, watch.log_evidence, strict=True):
        ratios = [rate / 0.1 if error else (1 - rate) / 0.9 for error in errors]
        total = sum(math.prod(ratios[start:]) for start in range(len(errors)))
        assert math.exp(log_evidence) == pytest.approx(total)


def test_breakage_alarms_at_once_and_the_alarm_stays_until_it_is_dealt_with():
    detector = Detector(allowed=0.06)
    watch = e_detector.observe_each(e_detector.start(detector), [True] * 12, detector)
    assert watch.alarm
    assert e_detector.probable_rate(watch, detector) > 0.4
    assert e_detector.observe(watch, Proportion(0, 1000), detector).alarm
    assert e_detector.restarted(watch) == e_detector.start(detector)


def test_no_labels_change_nothing():
    detector = Detector(allowed=0.06)
    begun = e_detector.start(detector)
    assert e_detector.observe(begun, Proportion(0, 0), detector) == begun
    assert e_detector.probable_rate(begun, detector) == 0.06


def test_the_slice_that_fails_is_named_and_one_that_only_grew_is_not():
    de, fr, it = (Slice("country", name) for name in ("de", "fr", "it"))
    before = {de: Proportion(50, 1000), fr: Proportion(50, 1000), it: Proportion(40, 100)}
    now = {de: Proportion(300, 1000), fr: Proportion(50, 1000), it: Proportion(160, 400)}
    found = explain_rise(before, now, whole_before=Proportion(140, 2100), whole_now=Proportion(510, 2400))
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


def test_a_change_that_is_the_same_everywhere_has_no_place():
    rng = np.random.default_rng(12)
    de, fr = Slice("country", "de"), Slice("country", "fr")
    flat, tilted = np.full(10, 0.1), np.linspace(0.05, 0.15, 10)
    before, now = (
        {de: rng.multinomial(1_000, shares), fr: rng.multinomial(1_000, shares)} for shares in (flat, tilted)
    )
    assert explain_drift(before, now, whole_before=before[de] + before[fr], whole_now=now[de] + now[fr]) == ()
    before, now = (
        {de: Proportion(50, 1_000), fr: Proportion(48, 1_000)},
        {de: Proportion(99, 1_000), fr: Proportion(101, 1_000)},
    )
    assert explain_rise(before, now, whole_before=Proportion(98, 2_000), whole_now=Proportion(200, 2_000)) == ()


@pytest.mark.parametrize(("low", "high"), [(-8.0, -0.01), (-0.9, 0.9), (1e-9, 1e-6), (-1e6, 1e6), (0.0, 40.0)], ids=str)
def test_scores_of_any_range_are_ranked_as_scikit_learn_ranks_them(low: float, high: float):
    rng = np.random.default_rng(13)
    score = rng.uniform(low, high, 20_000)
    answer = (rng.random(20_000) < (score - low) / (high - low)).astype(float)
    found = scores.auc(counted(score, answer))
    assert found == pytest.approx(metrics.roc_auc_score(answer, score), abs=2e-5)
