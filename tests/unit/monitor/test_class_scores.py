"""Probabilities of many classes: against scikit-learn, merged in any grouping, and given what is none."""

import itertools
import random
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.judge.performance.decisions.joins import Group, VersionInfo, summaries_of
from headrace_monitor.judge.performance.decisions.measures import measures
from headrace_monitor.judge.performance.decisions.probabilities import ScoreColumns, score_columns
from headrace_monitor.judge.performance.decisions.summaries import Summary
from headrace_monitor.record.log.columns import output_columns
from headrace_monitor.record.log.decisions.class_names import Classes
from headrace_statistics.inconclusive import NotEnoughData, OneClass
from headrace_statistics.sketches import class_scores
from headrace_statistics.sketches.class_scores import MacroAuc, macro_auc
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from sklearn import metrics

from tests.kit.monitor.log_files import prediction_ids, records
from tests.kit.monitor.predictions import contract, spec

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
NAMES = ("ham", "spam", "eggs", "toast")
ODD = st_numpy.arrays(np.float64, (6, 3), elements=st.floats(allow_nan=True, allow_infinity=True))
Task = tensor_pb2.ServingContract.Task


def drawn(rows, classes, seed, *, sharpness=1.5):
    """Probabilities that mean what they say, and true classes drawn by them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, sharpness, (rows, classes)) - np.arange(classes) / classes
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (rng.random((rows, 1)) > np.cumsum(chances, axis=1)).sum(axis=1).clip(0, classes - 1)
    return chances, truth


def counted(chances, truth, weights=None):
    return class_scores.count(chances, truth, np.ones(len(truth)) if weights is None else weights)


@pytest.mark.parametrize("classes", [3, 10, 100])
def test_auc_and_log_loss_are_those_of_scikit_learn(classes):
    chances, truth = drawn(20_000, classes, classes)
    said = macro_auc(counted(chances, truth))
    assert isinstance(said, MacroAuc)
    expected = metrics.roc_auc_score(truth, chances, multi_class="ovr", average="macro")
    assert said.value == pytest.approx(expected, abs=2e-4)
    assert class_scores.log_losses(chances, truth).mean() == pytest.approx(metrics.log_loss(truth, chances))


def test_the_stated_error_is_no_smaller_than_what_samples_stray_by():
    said = [macro_auc(counted(*drawn(300, 4, seed))) for seed in range(200)]
    values = [one.value for one in said if isinstance(one, MacroAuc)]
    errors = [one.error for one in said if isinstance(one, MacroAuc) and isinstance(one.error, float)]
    assert len(errors) == 200
    assert np.std(values) < np.mean(errors) < 3 * np.std(values)


@given(st.lists(st.integers(0, 500), max_size=5), st.randoms())
def test_counts_merge_to_the_bit_in_any_grouping(cuts, shuffle):
    chances, truth = drawn(500, 5, 1)
    bounds = [0, *sorted(cuts), 500]
    parts = [counted(chances[a:b], truth[a:b]) for a, b in itertools.pairwise(bounds)]
    shuffle.shuffle(parts)
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    whole = counted(chances, truth)
    assert np.array_equal(merged.yes, whole.yes)
    assert np.array_equal(merged.no, whole.no)
    assert (merged.rows, merged.no_probabilities, merged.no_class) == (500, 0, 0)


def test_counts_of_other_classes_are_not_added():
    with pytest.raises(ValueError, match="4 and of 3 classes"):
        counted(*drawn(5, 4, 1)).merge(counted(*drawn(5, 3, 1)))


@given(ODD, st.lists(st.integers(-3, 5), min_size=6, max_size=6))
def test_whatever_comes_is_counted_or_left_out_with_a_reason(chances, truth):
    counts = counted(chances, truth)
    assert counts.rows + counts.no_probabilities + counts.no_class == 6
    assert counts.yes.sum() == counts.rows
    assert counts.no.sum() == 2 * counts.rows
    losses = class_scores.log_losses(chances, np.array(truth))
    assert np.isfinite(losses).sum() == counts.rows
    assert (losses[np.isfinite(losses)] >= 0).all()


def test_what_is_no_probability_is_left_out():
    odd = [[0.2, 0.3, np.nan], [0.7, 0.7, 0.7], [-0.5, 0.5, 1.0], [np.inf, 0, 0], [3.0, -1.0, 0.5], [0.2, 0.3, 0.5]]
    counts = counted(odd, [0, 0, 0, 0, 0, 7])
    assert (counts.rows, counts.no_probabilities, counts.no_class) == (0, 5, 1)
    assert macro_auc(counts) == NotEnoughData(have=0, need=1)


def test_classes_that_do_not_occur_do_not_count_and_one_alone_has_no_ranking():
    chances, truth = drawn(3000, 4, 2)
    three = truth != 3
    said = macro_auc(counted(chances[three], truth[three]))
    assert isinstance(said, MacroAuc)
    each = [metrics.roc_auc_score(truth[three] == place, chances[three, place]) for place in range(3)]
    assert (said.classes, said.value) == (3, pytest.approx(np.mean(each), abs=2e-4))
    assert macro_auc(counted(chances[truth == 1], truth[truth == 1])) == OneClass(int((truth == 1).sum()), 0)


def test_a_row_that_stands_for_ten_counts_as_ten():
    chances, truth = drawn(2000, 3, 3)
    heavy = truth == 1
    weighed = macro_auc(counted(chances, truth, np.where(heavy, 10.0, 1.0)))
    repeats = np.where(heavy, 10, 1)
    repeated = macro_auc(counted(np.repeat(chances, repeats, axis=0), np.repeat(truth, repeats)))
    assert isinstance(weighed, MacroAuc)
    assert isinstance(repeated, MacroAuc)
    assert weighed.value == pytest.approx(repeated.value, rel=1e-12)


def test_scores_are_found_where_the_contract_has_them():
    def found(outputs, labels=NAMES, task=Task.TASK_CLASSIFICATION, prediction=""):
        of = contract({}, outputs)
        of.labels.extend(labels)
        of.task, of.prediction = task, prediction
        return score_columns(of, output_columns(of))

    four = tuple(f"output.scores.{place}" for place in range(4))
    assert found({"scores": spec("FP32", 4)}) == ScoreColumns(four, 4)
    assert found({"scores": spec("FP32", 4)}, labels=(), task=Task.TASK_CLASSIFICATION) == ScoreColumns(four, 4)
    assert found({"scores": spec("FP32", -1)}) == ScoreColumns(("output.scores",), 4)
    beside = {"label": spec("INT64", 1), "scores": spec("FP64", 4), "other": spec("FP32", 7)}
    assert found(beside) == ScoreColumns(four, 4)
    assert found({"label": spec("BYTES"), "scores": spec("FP32", 4)}, task=Task.TASK_UNSPECIFIED) is not None
    assert found({"scores": spec("FP32", 300)}, labels=()) == ScoreColumns((), 300)
    for without in (
        found({"scores": spec("FP32", 2)}, labels=NAMES[:2]),
        found({"label": spec("INT64", 1)}),
        found({"scores": spec("FP32", 4, sensitive=True)}),
        found({"label": spec("INT64", 1), "a": spec("FP32", 4), "b": spec("FP32", 4)}),
        found({"scores": spec("FP32", 4)}, task=Task.TASK_REGRESSION),
        found({"scores": spec("FP32", 4)}, labels=(), task=Task.TASK_UNSPECIFIED),
        found({"scores": spec("FP32", -1)}, labels=()),
        found({}),
    ):
        assert without is None


LISTS = ScoreColumns(("output.scores",), 4)
COLUMNS = ScoreColumns(tuple(f"output.scores.{place}" for place in range(4)), 4)


def said(chances, told, at=COLUMNS, *, guesses=None, merged_from=1):
    """Return measures by name. chances: rows of scores, as lists where `at` says so."""
    rows = len(told)
    columns: dict[str, Any]
    if at is LISTS:
        columns = {"output.scores": pa.array(chances, pa.list_(pa.float32()))}
    else:
        columns = {name: np.asarray(chances)[:, place] for place, name in enumerate(at.names)}
    ids = prediction_ids([NOON] * rows, random.Random(1))
    table = records("m", "v1", ids, [NOON] * rows, prediction_label=guesses or ["ham"] * rows, **columns)
    outcomes = {(one, 0): {"label": value} for one, value in zip(ids, told, strict=True) if value is not None}
    summary = Summary()
    about = {"v1": VersionInfo(Classes(NAMES), scores=at)}
    for part in range(merged_from):
        batch = table.slice(part * rows // merged_from, rows // merged_from).combine_chunks().to_batches()[0]
        found = summaries_of(batch, outcomes, about, slice_by="", threshold=None, known_slices=set())
        summary = summary.merge(found[Group("v1", "main", "")])
    return {one.name: one for one in measures(summary, threshold=None, calibration=None)}


def test_rows_of_the_log_with_their_labels_become_auc_and_log_loss():
    chances, truth = drawn(2000, 4, 4)
    named = [NAMES[place] for place in truth]
    found = said(chances, named, guesses=[NAMES[place] for place in chances.argmax(axis=1)], merged_from=4)
    auc, loss = found["auc"], found["log_loss"]
    assert auc.value == pytest.approx(metrics.roc_auc_score(truth, chances, multi_class="ovr"), abs=2e-4)
    assert loss.value == pytest.approx(metrics.log_loss(truth, chances), rel=1e-9)
    for one in (auc, loss):
        lower, value, upper = one.lower or 0.0, one.value or 0.0, one.upper or 0.0
        assert 0 < lower < value < upper
        assert (one.rows, one.note) == (2000, "")
    assert found["accuracy"].value == pytest.approx(np.mean(chances.argmax(axis=1) == truth))
    lists = said(chances.astype(np.float32).tolist(), [float(place) for place in truth], LISTS)
    assert lists["auc"].value == pytest.approx(auc.value, abs=1e-4)


def test_rows_that_cannot_be_counted_are_told_beside_the_value():
    chances, truth = drawn(400, 4, 5)
    told = [NAMES[place] for place in truth]
    chances[:3] = np.nan
    chances[3:5] = 0.9
    told[5] = "soup"
    told[6] = None
    found = said(chances, told)
    for name in ("auc", "log_loss"):
        assert found[name].rows == 393
        assert found[name].value is not None
        assert "5 whose scores are no probabilities" in found[name].note
        assert "1 whose label is no class" in found[name].note
    assert found["accuracy"].rows == 399


def test_lists_of_another_width_are_left_out():
    chances, truth = drawn(100, 4, 6)
    listed: list = chances.tolist()
    listed[0], listed[1], listed[2] = None, [1.0], [0.2] * 5
    found = said(listed, [NAMES[place] for place in truth], LISTS)
    assert (found["auc"].rows, found["log_loss"].rows) == (97, 97)
    assert "3 whose scores" in found["auc"].note


def test_scores_that_are_no_probabilities_at_all_are_said_to_be_so():
    chances, truth = drawn(50, 4, 7)
    found = said(20 * chances - 3, [NAMES[place] for place in truth])
    for name in ("auc", "log_loss"):
        assert (found[name].value, found[name].rows) == (None, 0)
        assert "50 whose scores are no probabilities" in found[name].note


def test_classes_that_do_not_occur_and_too_many_classes_are_told():
    chances, truth = drawn(500, 4, 8)
    three = [NAMES[place] if place < 3 else None for place in truth]
    assert said(chances, three)["auc"].note == "of the 3 of 4 classes that occur"
    found = said(chances, three, ScoreColumns((), 300))
    assert {found[name].note for name in ("auc", "log_loss")} == {"300 classes; at most 100 are counted"}


def test_without_labels_nothing_is_said_of_probabilities():
    chances, _ = drawn(5, 4, 9)
    assert not {"auc", "log_loss"} & said(chances, [None] * 5).keys()
