"""Estimates before labels come follow the features of the traffic, through freezing, summing up and measuring."""

from datetime import UTC, datetime

import numpy as np
import pytest
from headrace_monitor.judge.performance.decisions import pooled_calibration
from headrace_monitor.judge.performance.decisions.hours import HourlyPerformance
from headrace_monitor.judge.performance.decisions.measures import Measure
from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn
from headrace_monitor.judge.references.feature_codes import coded, coding_of
from headrace_monitor.judge.references.values import pa
from headrace_statistics import references
from headrace_statistics.calibration import Calibration, labelled
from headrace_statistics.sketches.features import labelled_rows

from tests.statistics.service_path import Version

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def drawn(rng, rows, old):
    """Return features, guesses, scores and labels: of the old, a share of the rows, scores are too sure."""
    is_old = rng.random(rows) < old
    land = rng.choice(["de", "fr", "it"], rows).astype(object)
    logits = rng.normal(1.0, 1.5, rows)
    label = rng.random(rows) < 1 / (1 + np.exp(-np.where(is_old, 0.2, 1.0) * logits))
    score = 1 / (1 + np.exp(-logits))
    age = np.where(is_old, rng.uniform(60, 90, rows), rng.uniform(20, 60, rows))
    return {"age": age, "land": land}, score >= 0.5, score, label


def test_accuracy_follows_a_shift_to_rows_whose_scores_are_too_sure():
    rng = np.random.default_rng(1)
    version = Version(*drawn(rng, 20_000, 0.2))
    features, guess, score, label = drawn(rng, 5_000, 0.8)
    said, truth = version.estimated(features, guess, score), float(np.mean(guess == label))
    assert said["estimated_accuracy"].value == pytest.approx(truth, abs=0.03)
    assert (said["estimated_accuracy"].lower or 1) <= truth <= (said["estimated_accuracy"].upper or 0)
    assert "as age are distributed now, and are worth" in said["estimated_accuracy"].note
    plain = np.mean(np.where(guess, version.calibration.chances(score), 1 - version.calibration.chances(score)))
    assert plain - truth > 0.08


def test_without_a_shift_the_estimate_is_that_of_all_labelled_rows():
    rng = np.random.default_rng(2)
    version = Version(*drawn(rng, 5_000, 0.2))
    features, guess, score, _ = drawn(rng, 2_000, 0.2)
    said = version.estimated(features, guess, score)["estimated_accuracy"]
    plain = np.mean(np.where(guess, version.calibration.chances(score), 1 - version.calibration.chances(score)))
    assert said.value == pytest.approx(plain)
    assert said.note == ""


def test_features_are_coded_by_groups_of_the_reference_and_what_is_odd_is_missing():
    age = MonitoredColumn("age", "feature.age", "age", 0, "FP64", ColumnType.NUMERIC)
    land = MonitoredColumn("land", "feature.land", "land", 0, "BYTES", ColumnType.CATEGORICAL)
    frozen = {
        "age": references.freeze_numeric(np.arange(1_000.0)),
        "land": references.freeze_categorical(["de"] * 60 + ["fr"] * 40),
    }
    coding = coding_of((age, land), frozen)
    assert coding is not None
    table = {
        "age": pa.chunked_array([[0.0, 999.0, None, np.inf, -1e9]]),
        "land": pa.chunked_array([["de", "fr", None, "it", "de"]]),
    }
    assert coded(coding, lambda column: table[column.name], 5).tolist() == [[1, 1], [10, 2], [0, 0], [10, 11], [1, 1]]
    lists = {"age": pa.chunked_array([[[1.0]] * 2]), "land": None}
    assert coded(coding, lambda column: lists[column.name], 2).tolist() == [[0, 0], [0, 0]]
    turned = coding_of((land, age), frozen)
    assert turned is not None
    assert turned.digest != coding.digest
    assert coding_of((), frozen) is None


def test_labels_of_hours_bring_their_features_to_the_calibration():
    rng = np.random.default_rng(3)

    def hour(day: int) -> HourlyPerformance:
        score, answer = rng.random(400), (rng.random(400) < 0.5).astype(float)
        rows = labelled_rows(score, answer, rng.integers(1, 5, (400, 2)).astype(np.uint8), ("a", "b"), "c")
        at = NOON.replace(day=day)
        told = (Measure("accuracy", 0.5, rows=400),)
        summed = labelled(score, answer)
        kept = type(summed)(summed.places, summed.scores, summed.yes, summed.no, summed.squares, rows.drawn(200))
        return HourlyPerformance(at, "v1", "main", 400, 400, told, {}, 400, kept)

    found = pooled_calibration.fitted([hour(1), hour(3)], NOON.replace(day=3), NOON.replace(day=3))
    assert isinstance(found, Calibration)
    assert found.sample is not None
    assert found.sample.scores.size == 400
    # Two days old rows count for half; the rows that were drawn stand for all.
    assert sorted(np.unique(found.sample.weights).tolist()) == [1.0, 2.0]
