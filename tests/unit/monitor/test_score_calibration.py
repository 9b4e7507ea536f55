"""What a reference with labels says of scores, in the files that people write and in those that say too little."""

import numpy as np
import pytest
from headrace_monitor.judge.references.columns import monitored_columns
from headrace_monitor.judge.references.reference_files import freeze_file
from headrace_statistics.calibration import Calibration, calibrate
from headrace_statistics.inconclusive import NotEnoughData, OneClass, Unreadable

from tests.kit.monitor.drift import parquet
from tests.kit.monitor.predictions import KnownContracts, contract, spec

ROWS = 2_000
INPUTS = {"x": spec("FP32")}
TWO = contract(INPUTS, {"scores": spec("FP32", 2, columns=["good", "fraud"])}, task="CLASSIFICATION")
NAMED = contract(INPUTS, {"scores": spec("FP32", 2)}, task="CLASSIFICATION", labels=["good", "fraud"])
MANY = contract(
    INPUTS,
    {"label": spec("INT64"), "scores": spec("FP32", 3)},
    task="CLASSIFICATION",
    prediction="label",
    labels=["a", "b", "c"],
)


def frozen(tmp_path, promised, columns):
    """Return what a file says of the scores of a version with that contract."""
    file = tmp_path / "reference.parquet"
    file.write_bytes(parquet({"x": np.random.default_rng(0).normal(size=len(next(iter(columns.values())))), **columns}))
    judged = monitored_columns(KnownContracts().add("m", "v1", promised))
    return freeze_file(str(file), judged, promised).calibration


def two(rng):
    """Return scores of the second of two classes, too sure of themselves, and the truth."""
    chance = rng.beta(2, 2, ROWS)
    sure = np.where(chance < 0.5, chance / 2, 1 - (1 - chance) / 2)
    return sure.astype(np.float32), rng.random(ROWS) < chance


def same(found, score, answer):
    expected = calibrate(score, answer)
    assert isinstance(found, Calibration)
    assert isinstance(expected, Calibration)
    assert found.rows == expected.rows
    grid = np.linspace(0, 1, 50)
    assert np.allclose(found.chances(grid), expected.chances(grid), atol=1e-6)


@pytest.mark.parametrize(
    ("promised", "told"),
    [
        pytest.param(TWO, lambda truth: truth.astype(np.int64), id="indexes"),
        pytest.param(TWO, lambda truth: truth.astype(np.float64), id="indexes as floats"),
        pytest.param(TWO, lambda truth: truth, id="yes and no"),
        pytest.param(NAMED, lambda truth: np.where(truth, "fraud", "good").astype(object), id="names"),
    ],
)
def test_scores_of_two_classes_are_calibrated_on_the_second(tmp_path, promised, told):
    score, truth = two(np.random.default_rng(1))
    names = ("good", "fraud") if promised is TWO else ("scores.0", "scores.1")
    columns = {names[0]: 1 - score, names[1]: score, "outcome.label": told(truth)}
    same(frozen(tmp_path, promised, columns), score, truth)


def test_scores_of_more_classes_are_calibrated_on_whether_the_predicted_one_was_right(tmp_path):
    rng = np.random.default_rng(2)
    scores = rng.dirichlet([1, 1, 1], ROWS).astype(np.float32)
    truth = np.array([rng.choice(3, p=one / one.sum()) for one in scores.astype(float)])
    best = scores.argmax(axis=1)
    columns = {"label": best, "scores": scores, "outcome.label": np.array(["a", "b", "c"], object)[truth]}
    same(frozen(tmp_path, MANY, columns), scores.max(axis=1), best == truth)


def test_rows_without_a_label_or_a_score_are_left_out(tmp_path):
    score, truth = two(np.random.default_rng(3))
    told = [None if index % 4 == 0 else int(one) for index, one in enumerate(truth)]
    score[1] = np.nan
    found = frozen(tmp_path, TWO, {"good": 1 - score, "fraud": score, "outcome.label": told})
    assert isinstance(found, Calibration)
    assert found.rows == ROWS * 3 // 4 - 1


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param({"outcome.label": [0, 1] * 500}, Unreadable, id="no scores"),
        pytest.param({"fraud": [0.2, 0.9] * 500, "outcome.label": [0, 1] * 500}, Unreadable, id="half of the scores"),
        pytest.param({"scores": [[0.8], [0.1]] * 500, "outcome.label": [0, 1] * 500}, Unreadable, id="rows too short"),
        pytest.param({"good": [0.1] * 100, "fraud": [0.9] * 100, "outcome.label": [1] * 100}, NotEnoughData, id="few"),
        pytest.param({"good": [0.1] * 900, "fraud": [0.9] * 900, "outcome.label": [1] * 900}, OneClass, id="one class"),
        pytest.param(
            {"good": [0.1, 0.8] * 400, "fraud": [0.9, 0.2] * 400, "outcome.label": [[1], [0]] * 400},
            NotEnoughData,
            id="labels that are none",
        ),
        pytest.param({"good": [0.1, 0.8] * 400, "fraud": [0.9, 0.2] * 400}, type(None), id="no labels"),
    ],
)
def test_a_file_that_says_too_little_calibrates_nothing_and_says_why(tmp_path, columns, expected):
    assert isinstance(frozen(tmp_path, TWO, columns), expected)
