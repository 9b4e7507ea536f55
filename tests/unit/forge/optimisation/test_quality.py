"""How well a candidate answers beside the original: accuracy, calibration, slices, differences."""

import math

import numpy as np
import pytest
from headrace_forge.optimisation.quality import Answers, judge, largest_difference, slices_of

SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]] * 10, np.float32)
ORIGINAL = Answers({"probabilities": SCORES}, "probabilities")


def changed(rows: list[int]) -> Answers:
    scores = SCORES.copy()
    scores[rows] = scores[rows][:, ::-1]
    return Answers({"probabilities": scores}, "probabilities")


def test_without_labels_the_original_is_right_and_accuracy_is_agreement():
    found = judge(ORIGINAL, changed([0, 4]), classifies=True, labels=None)
    assert (found.accuracy, found.calibration_error) == (0.95, None)
    assert found.largest_difference == pytest.approx(0.8)


def test_with_labels_both_are_judged_by_them_and_names_stand_for_numbers():
    labels = ["no", "yes", "no", "yes"] * 9 + ["yes", "no", "no", "yes"]
    found = judge(ORIGINAL, changed([36, 37]), classifies=True, labels=labels, names=("no", "yes"))
    assert found.accuracy == 1.0
    assert judge(ORIGINAL, ORIGINAL, classifies=True, labels=labels, names=("no", "yes")).accuracy == 0.95


def test_calibration_error_is_the_gap_between_confidence_and_being_right():
    sure = Answers({"p": np.tile(np.array([[0.9, 0.1]]), (100, 1))}, "p")
    labels = [0] * 50 + [1] * 50
    found = judge(sure, sure, classifies=True, labels=[0, 1] * 50)
    assert found.calibration_error == pytest.approx(0.4)
    assert judge(sure, sure, classifies=True, labels=labels).calibration_error == pytest.approx(0.5, abs=0.1)


def test_the_worst_slice_is_named_with_both_accuracies():
    kind = np.array([0, 1] * 20)
    slices = slices_of({"kind": kind, "x": np.arange(40.0)}, {})
    found = judge(ORIGINAL, changed([1, 3, 5]), classifies=True, labels=None, slices=slices)
    assert found.worst is not None
    assert (found.worst.name, found.worst.rows) == ("kind = 1", 20)
    assert (found.worst.original, found.worst.candidate) == (1.0, 0.85)


def test_quantities_are_judged_by_r_squared_and_texts_by_equality():
    truth = [1.0, 2.0, 3.0, 4.0]
    exact = Answers({"y": np.array(truth)}, "y")
    off = Answers({"y": np.array([1.0, 2.0, 3.0, 5.0])}, "y")
    assert judge(exact, off, classifies=False, labels=truth).accuracy == pytest.approx(1 - 0.25 / 1.25)
    names = Answers({"label": np.array(["a", "b"])}, "label")
    assert judge(names, names, classifies=True, labels=["a", "c"]).accuracy == 0.5


def test_quantities_that_are_all_the_same_are_judged_beside_their_size():
    same = Answers({"y": np.full(30, 2.0)}, "y")
    off = Answers({"y": np.full(30, 2.00002)}, "y")
    assert judge(same, off, classifies=False, labels=None).accuracy == pytest.approx(1.0, abs=1e-6)
    assert judge(same, same, classifies=False, labels=None).accuracy == 1.0


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param([1.0, np.nan], [1.5, np.nan], 0.5, id="both are no numbers"),
        pytest.param([1.0, 1.0], [1.0, np.nan], math.inf, id="one is no number"),
        pytest.param([1.0, 1.0], [1.0], math.inf, id="another shape"),
        pytest.param([np.inf, 1.0], [np.inf, 1.0], 0.0, id="infinite alike"),
    ],
)
def test_the_largest_difference(before, after, expected):
    assert largest_difference({"y": np.array(before)}, {"y": np.array(after)}) == expected


def test_classes_beside_scores_are_counted_by_accuracy_alone():
    before = {"label": np.array([1, 2]), "p": np.array([0.1, 0.2])}
    after = {"label": np.array([9, 2]), "p": np.array([0.1, 0.3])}
    assert largest_difference(before, after) == pytest.approx(0.1)
    assert largest_difference({"n": np.array([1])}, {"n": np.array([4])}) == 3.0
    assert largest_difference(before, {"label": after["label"]}) == math.inf
