"""Calibrations follow features that have shifted, where these explain how scores have."""

import numpy as np
import pytest
from headrace_statistics import serialization
from headrace_statistics.calibration import Calibration, calibrate
from headrace_statistics.reweighting import Reweighted, reweighted
from headrace_statistics.sketches import features
from headrace_statistics.sketches.features import CODES, FeatureCounts, effective, labelled_rows
from hypothesis import given
from hypothesis import strategies as st

CHANCES = np.array([0.2, 0.8])


def drawn(rng, rows, share):
    """Return scores that say nothing, answers, and codes of two groups (1, 2), of which one is a share of the rows."""
    group = (rng.random(rows) < share).astype(int)
    return rng.uniform(0.3, 0.7, rows), (rng.random(rows) < CHANCES[group]).astype(float), (group + 1)[:, None]


def calibrated(score, answer, codes, coding="c", names=("group",)):
    sample = labelled_rows(score, answer, codes.astype(np.uint8), names, coding)
    found = calibrate(score, answer, sample=sample)
    assert isinstance(found, Calibration)
    return found


def sample_of(calibration):
    assert calibration.sample is not None
    return calibration.sample


def now(calibration, score, codes, coding="c"):
    ones = np.ones(score.size)
    counts = features.count(codes.astype(np.uint8), ones, coding)
    return reweighted(calibration, counts, calibration.leverage(score, ones))


def test_chances_are_those_of_the_groups_that_there_are_now():
    rng = np.random.default_rng(1)
    calibration = calibrated(*drawn(rng, 20_000, 0.5))
    score, _, codes = drawn(rng, 5_000, 0.9)
    found = now(calibration, score, codes)
    assert isinstance(found, Reweighted)
    assert found.shifted == ("group",)
    # By hand: .1 * .2 + .9 * .8, where it was .5.
    assert np.mean(found.calibration.chances(score)) == pytest.approx(0.74, abs=0.02)
    # Kish: half the rows count .2, half 1.8: n (.5 * .2 + .5 * 1.8)^2 / (.5 * .04 + .5 * 3.24).
    assert found.calibration.rows == pytest.approx(20_000 / 1.64, rel=0.03)


def test_without_a_shift_that_is_more_than_chance_nothing_is_weighted():
    rng = np.random.default_rng(2)
    calibration = calibrated(*drawn(rng, 5_000, 0.5))
    windows = [drawn(rng, 1_000, 0.5) for _ in range(200)]
    assert np.mean([now(calibration, score, codes) is not None for score, _, codes in windows]) <= 0.04


def test_a_shift_that_does_not_explain_the_scores_is_not_followed():
    rng = np.random.default_rng(3)
    score, answer, codes = drawn(rng, 10_000, 0.5)
    score = np.where(codes[:, 0] == 2, score + 0.2, score)
    calibration = calibrated(score, answer, codes)
    # More of the group with higher scores, and yet scores are lower.
    other, _, group = drawn(rng, 5_000, 0.9)
    assert now(calibration, other - 0.2, group) is None
    assert now(calibration, np.where(group[:, 0] == 2, other + 0.2, other), group) is not None


def test_weights_leave_as_many_rows_as_a_calibration_needs():
    rng = np.random.default_rng(4)
    calibration = calibrated(*drawn(rng, 3_000, 0.01))
    score, _, codes = drawn(rng, 5_000, 1.0)
    found = now(calibration, score, codes)
    assert isinstance(found, Reweighted)
    assert 295 <= found.calibration.rows <= 310


def test_codes_of_another_reference_are_not_compared():
    rng = np.random.default_rng(5)
    score, answer, codes = drawn(rng, 3_000, 0.5)
    calibration = calibrated(score, answer, codes)
    assert now(calibration, score, np.full_like(codes, 2), coding="other") is None
    assert now(calibrate(score, answer), score, codes) is None  # nothing is known of features
    ours, others = sample_of(calibration), sample_of(calibrated(score[:400], answer[:400], codes[:400], coding="other"))
    assert ours.merge(others) is ours
    assert others.merge(ours) is ours


def test_samples_merge_weigh_as_much_as_what_they_are_drawn_from_and_come_back_from_text():
    rng = np.random.default_rng(6)
    score, answer, codes = drawn(rng, 1_000, 0.5)
    calibration = calibrated(score, answer, codes)
    both = sample_of(calibration).merge(sample_of(calibration).weighted(0.5))
    assert both.weights.sum() == 1_500
    few = both.drawn(100)
    assert few.scores.size == 100
    assert few.weights.sum() == pytest.approx(1_500)
    kept = serialization.from_json(serialization.to_json(calibration)).sample
    assert np.array_equal(kept.codes, sample_of(calibration).codes)
    assert (kept.features, kept.coding) == (("group",), "c")


@given(
    codes=st.lists(st.lists(st.integers(0, 255), min_size=3, max_size=3), min_size=1, max_size=40),
    weight=st.sampled_from([0.0, 1.0, 2.0**20, 1e9]),
    seed=st.integers(0, 100),
)
def test_odd_codes_and_weights_never_raise(codes, weight, seed):
    rng = np.random.default_rng(seed)
    score, answer = rng.random(400), (rng.random(400) < 0.5).astype(float)
    calibration = calibrated(score, answer, rng.integers(0, CODES, (400, 3)), names=("a", "b", "c"))
    given_now = np.array(codes, dtype=np.uint8)
    counts = features.count(given_now, np.full(len(codes), weight), "c")
    found = reweighted(calibration, counts, calibration.leverage(rng.random(50), np.full(50, weight)))
    assert found is None or np.isfinite(found.calibration.chances([0.5])).all()


def test_counts_of_features_add_up_and_kish_counts_rows():
    one = features.count(np.array([[1], [2]], np.uint8), np.array([1.0, 3.0]), "c")
    whole = one.merge(one)
    assert isinstance(whole, FeatureCounts)
    assert whole.counts[0, :3].tolist() == [0, 2, 6]
    assert whole.squares == 20
    assert effective(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    with pytest.raises(ValueError, match="other cannot be added"):
        one.merge(features.count(np.array([[1]], np.uint8), np.ones(1), "other"))
