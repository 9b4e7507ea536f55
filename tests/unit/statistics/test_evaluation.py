"""Evaluations of windows: what alarms, what does not, what is inconclusive, and what odd data do."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from headrace_statistics import references, serialization
from headrace_statistics.drift.evaluation import Tolerances, evaluate
from headrace_statistics.drift.reports import DriftReport, Kind, Test
from headrace_statistics.e_detector import DetectorState
from headrace_statistics.inconclusive import Constant, NotEnoughData, OneClass
from headrace_statistics.proportions import Proportion
from headrace_statistics.references import Reference, Source
from headrace_statistics.severity import Severity
from headrace_statistics.sketches.moments import moments
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

AT = datetime(2026, 1, 1, tzinfo=UTC)
LEVEL = 0.001
ANYTHING = st.one_of(
    st_numpy.arrays(np.float64, st.integers(0, 30), elements=st.floats(allow_nan=True, allow_infinity=True)),
    st.lists(st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=2), st.booleans()), max_size=8),
)


def columns(rng: np.random.Generator, rows: int = 4_000) -> dict[str, np.ndarray]:
    return {
        "age": rng.normal(40, 10, rows),
        "country": rng.choice(["de", "fr", "it"], rows, p=[0.5, 0.3, 0.2]),
        "image": rng.normal(size=(rows, 8)),
        "score": rng.beta(2, 5, rows),
    }


@pytest.fixture(scope="module")
def reference() -> Reference:
    data = columns(np.random.default_rng(1))
    image = references.freeze_embedding(data["image"], np.random.default_rng(2))
    assert isinstance(image, references.EmbeddingReference)
    frozen = {
        "age": references.freeze_numeric(data["age"]),
        "country": references.freeze_categorical(data["country"].tolist()),
        "image": image,
        "score": references.freeze_numeric(data["score"], declared=(0.0, 1.0)),
    }
    return Reference(Source.ARTIFACT, "reference.parquet", AT, frozen, unfit={})


def evaluated(reference: Reference, data: dict) -> tuple[DriftReport, ...]:
    window = {name: references.summarise(reference.columns[name], values) for name, values in data.items()}
    return evaluate(reference, window, level=LEVEL, predictions=["score"])


def alarms(reports: tuple[DriftReport, ...]) -> set[tuple[str, Test]]:
    return {(report.column, report.test) for report in reports if report.alarm}


def test_a_window_like_the_reference_raises_nothing(reference: Reference):
    reports = evaluated(reference, columns(np.random.default_rng(3)))
    assert alarms(reports) == set()
    assert {report.severity for report in reports} == {Severity.NONE}
    assert {report.column for report in reports} == set(reference.columns)


def test_what_has_changed_alarms_and_nothing_else(reference: Reference):
    data = columns(np.random.default_rng(4))
    data["age"] = data["age"] + 4
    reports = evaluated(reference, data)
    assert alarms(reports) == {("age", Test.PSI), ("age", Test.KS)}
    psi = next(report for report in reports if report.alarm and report.test is Test.PSI)
    assert (psi.kind, psi.severity) == (Kind.DATA, Severity.MEDIUM)
    assert psi.effect == pytest.approx(0.16, abs=0.03)
    assert psi.n_window == 4_000


def test_a_drift_of_what_the_model_says_is_told_apart(reference: Reference):
    data = columns(np.random.default_rng(5))
    data["score"] = np.random.default_rng(6).beta(5, 2, 4_000)
    assert {report.kind for report in evaluated(reference, data) if report.alarm} == {Kind.PREDICTION}


def test_embeddings_that_moved_alarm(reference: Reference):
    data = columns(np.random.default_rng(7))
    data["image"] = data["image"] + 0.5
    (report,) = [report for report in evaluated(reference, data) if report.alarm]
    assert report.test is Test.EMBEDDING
    assert report.effect == pytest.approx(0.5, abs=0.1)


def test_new_and_vanished_categories_are_named(reference: Reference):
    data = columns(np.random.default_rng(8))
    data["country"] = np.where(data["country"] == "it", "atlantis", data["country"])
    found = {report.test: report for report in evaluated(reference, data) if report.alarm}
    assert found[Test.NEW_CATEGORIES].examples == ("atlantis",)
    assert found[Test.VANISHED_CATEGORIES].examples == ("it",)


def test_missing_odd_and_out_of_range_values_are_counted_and_do_not_look_like_drift(reference: Reference):
    data = columns(np.random.default_rng(9))
    ages: list[object] = data["age"].tolist()
    ages[:400], ages[400:600], ages[600:800], ages[800:1000] = (
        [None] * 400,
        [math.inf] * 200,
        ["old"] * 200,
        [1e6] * 200,
    )
    data["age"] = np.array(ages, dtype=object)
    found = alarms(evaluated(reference, data))
    assert {test for column, test in found if column == "age"} == {
        Test.MISSING, Test.NOT_FINITE, Test.TYPE, Test.OUT_OF_RANGE,
    }  # fmt: skip


def test_a_column_that_stopped_varying_is_named_with_its_value(reference: Reference):
    data = columns(np.random.default_rng(10))
    data["age"] = np.full(60, 40.0)
    found = {report.test: report for report in evaluated(reference, data) if report.alarm}
    assert found[Test.CONSTANT].examples == ("40",)


@pytest.mark.parametrize("spoil", [1e9, -1e300, math.nan, math.inf])
def test_one_value_of_any_size_changes_no_verdict(reference: Reference, spoil: float):
    data = columns(np.random.default_rng(11))
    data["age"][17] = spoil
    assert alarms(evaluated(reference, data)) == set()


def test_ten_rows_are_too_few_to_say_anything_of_a_distribution(reference: Reference):
    reports = evaluated(reference, columns(np.random.default_rng(12), rows=10))
    assert alarms(reports) == set()
    said = {report.test for report in reports if report.inconclusive is None}
    assert said.isdisjoint({Test.PSI, Test.KS, Test.CHI_SQUARE, Test.EMBEDDING})


def test_a_column_that_is_absent_or_was_never_frozen_is_reported_so(reference: Reference):
    unfit = Reference(Source.ARTIFACT, "r", AT, reference.columns, unfit={"tiny": NotEnoughData(3, 200)})
    reports = {report.column: report for report in evaluate(unfit, {}, level=LEVEL)}
    assert reports["age"].inconclusive == NotEnoughData(have=0, need=50)
    assert reports["tiny"].inconclusive == NotEnoughData(have=3, need=200)


def test_a_constant_reference_says_so_and_anything_else_is_out_of_its_range():
    frozen = {"flag": references.freeze_numeric(np.ones(1_000))}
    constant = Reference(Source.ARTIFACT, "r", AT, frozen, unfit={})
    reports = evaluated(constant, {"flag": np.r_[np.ones(900), np.zeros(100)]})
    assert {report.test: report.inconclusive for report in reports}[Test.PSI] == Constant(1.0)
    assert alarms(reports) == {("flag", Test.OUT_OF_RANGE)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(ANYTHING, ANYTHING, ANYTHING)
def test_no_data_whatever_raise(reference: Reference, frozen: object, one: object, other: object):
    numbers, _ = references._numbers(frozen)  # pyright: ignore[reportPrivateUsage]
    odd = {"n": references.freeze_numeric(numbers), "c": references.freeze_categorical(list(frozen))}  # pyright: ignore[reportArgumentType]
    odd_reference = Reference(Source.WINDOW, "odd", AT, {**odd, "image": reference.columns["image"]}, unfit={})
    window = {name: references.summarise(column, one) for name, column in odd_reference.columns.items()}  # pyright: ignore[reportArgumentType]
    also = {name: references.summarise(column, other) for name, column in odd_reference.columns.items()}  # pyright: ignore[reportArgumentType]
    merged = {name: window[name].merge(also[name]) for name in window}  # pyright: ignore[reportArgumentType]
    for report in evaluate(odd_reference, merged, level=LEVEL):
        assert report.p is None or 0 <= report.p <= 1
        assert (report.inconclusive is None) == (report.p is not None)


def test_a_seasonal_reference_is_an_earlier_window_on_the_same_edges(reference: Reference):
    night = columns(np.random.default_rng(13))
    night["age"] = night["age"] + 10
    summaries = {name: references.summarise(reference.columns[name], values) for name, values in night.items()}
    last_week = references.seasonal(reference, summaries, name="2025-12-25T03", at=AT)
    tonight = {**columns(np.random.default_rng(14))}
    tonight["age"] = tonight["age"] + 10
    assert alarms(evaluated(last_week, tonight)) == set()
    assert ("age", Test.PSI) in alarms(evaluated(reference, tonight))


def test_references_and_windows_come_back_from_text_to_the_bit(reference: Reference):
    again = serialization.from_json(serialization.to_json(reference))
    data = columns(np.random.default_rng(15))
    assert evaluated(again, data) == evaluated(reference, data)
    assert serialization.to_json(again) == serialization.to_json(reference)


def test_values_that_were_stored_under_earlier_class_names_are_read():
    stored = (
        '[{"is":{"count":1,"of":2},"kind":"Share"},{"is":{"alarm":false,"log_evidence":[0.25,0.5],"seen":{"is":{"count":1,'
        '"of":1},"kind":"Share"}},"kind":"Watch"},{"is":"window","kind":"Source"},{"is":{"negatives":0,"positives":3},'
        '"kind":"OneClass"},{"is":{"count":2,"left_out":0,"m2":0.5,"maximum":2.0,"mean":1.5,"minimum":1.0},"kind":"Moments"}]'
    )
    values = serialization.from_json(stored)
    assert values == (
        Proportion(1, 2),
        DetectorState((0.25, 0.5), Proportion(1, 1)),
        Source.WINDOW,
        OneClass(3, 0),
        moments([1.0, 2.0]),
    )
    assert serialization.to_json(values) == stored


def test_what_a_later_release_has_added_is_left_out():
    stored = '{"is":{"count":1,"of":2,"later":{"is":{"a":[1]},"kind":"Later"}},"kind":"Share"}'
    assert serialization.from_json(stored) == Proportion(1, 2)


@pytest.mark.parametrize(
    "text", ["{}", "[{}]", '{"kind":"Popen","is":{}}', "nonsense", '{"kind":"Moments","is":{"a":1}}']
)
def test_other_text_is_refused(text: str):
    with pytest.raises(ValueError, match=r"not statistics|Expecting"):
        serialization.from_json(text)


def test_tolerances_are_what_keeps_an_evaluation_silent(reference: Reference):
    data = columns(np.random.default_rng(16))
    data["age"] = data["age"] + 3
    window = {name: references.summarise(reference.columns[name], values) for name, values in data.items()}
    lax = evaluate(reference, window, level=LEVEL, tolerances=Tolerances(psi=0.3, ks=0.3))
    assert alarms(lax) == set()
    assert alarms(evaluate(reference, window, level=LEVEL)) != set()


def test_names_that_a_small_reference_has_not_had_yet_are_no_alarm_but_a_frequent_new_one_is():
    rng = np.random.default_rng(5)
    shares = 1 / np.arange(1, 301)
    names = [f"name {index}" for index in range(300)]
    drawn = rng.choice(names, 1_000, p=shares / shares.sum())
    few = Reference(Source.ARTIFACT, "", AT, {"name": references.freeze_categorical(drawn.tolist())}, unfit={})
    clean = rng.choice(names, 1_000, p=shares / shares.sum())
    assert alarms(evaluated(few, {"name": clean.tolist()})) == set()
    renamed = np.where(rng.random(1_000) < 0.15, "another", clean)
    assert ("name", Test.NEW_CATEGORIES) in alarms(evaluated(few, {"name": renamed.tolist()}))


def test_a_season_says_itself_how_many_rows_are_of_categories_that_the_frozen_rows_had_not():
    column = references.freeze_categorical(["a"] * 98 + ["b", "c"])
    frozen = Reference(Source.ARTIFACT, "", AT, {"name": column}, unfit={})
    assert (column.singletons, column.doubletons, column.unseen) == (2, 0, Proportion(2, 100))
    season = references.seasonal(
        frozen, {"name": references.summarise(column, ["a"] * 90 + ["d"] * 10)}, name="", at=AT
    )
    kept = season.columns["name"]
    assert isinstance(kept, references.CategoricalReference)
    assert kept.unseen == Proportion(10, 100)
