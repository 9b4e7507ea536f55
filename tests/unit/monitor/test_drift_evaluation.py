"""Drift evaluations: when a window is due, which observations rules get, and which slices explain an alarm."""

import doctest
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from headrace_monitor.judge.drift.decisions import evaluation, explanation
from headrace_monitor.judge.drift.decisions.evaluation import (
    PATIENCE,
    DriftEvaluation,
    Schedule,
    SliceEffect,
    is_due,
    observations,
)
from headrace_monitor.judge.references import reference_tables
from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn
from headrace_statistics import references
from headrace_statistics.drift.reports import DriftReport, Kind, Test
from headrace_statistics.inconclusive import NotEnoughData
from headrace_statistics.references import Source
from headrace_statistics.severity import Severity

from tests.kit.monitor.drift import HOUR, START
from tests.kit.rows import each

SETTLE = timedelta(minutes=5)
SCHEDULE = Schedule(3600, SETTLE, 0.05)


@pytest.mark.parametrize(
    ("after", "waiting", "expected"),
    [
        pytest.param(SETTLE - timedelta(seconds=1), False, False, id="its rows may be on their way"),
        pytest.param(SETTLE, False, True, id="settled"),
        pytest.param(SETTLE, True, False, id="rows are known to come"),
        pytest.param(SETTLE + PATIENCE, True, True, id="not for ever"),
    ],
)
def test_a_window_is_looked_at_when_its_rows_are_there(after, waiting, expected):
    assert is_due(START, START + after, waiting=waiting, schedule=SCHEDULE) is expected


def test_the_examples_are_as_they_say():
    assert doctest.testmod(evaluation).failed == doctest.testmod(reference_tables).failed == 0


def test_the_level_of_a_look_is_its_share_of_a_week():
    assert SCHEDULE.level == pytest.approx(0.05 / 168)
    assert Schedule(60, SETTLE, 0.05).level == pytest.approx(0.05 / 168 / 60)


def test_a_time_is_looked_at_in_whole_windows():
    minute = timedelta(minutes=1)
    assert SCHEDULE.whole(START + minute, START + HOUR) == (START, START + HOUR)
    assert SCHEDULE.whole(START + minute, START + HOUR + minute) == (START, START + 2 * HOUR)


def report(column: str, kind: Kind, test: Test, effect: float, severity: Severity, **more: object) -> DriftReport:
    alarm = severity > Severity.NONE
    told = {"p": 0.5, "adjusted_p": 0.0 if alarm else 1.0, **more}
    return DriftReport(column, kind, test, 900, 800, 0.05, effect=effect, alarm=alarm, severity=severity, **told)  # pyright: ignore


def evaluated(*reports: DriftReport, slices: tuple[SliceEffect, ...] = ()) -> DriftEvaluation:
    return DriftEvaluation("m", "v", 1, Source.ARTIFACT, START, START + HOUR, 800, reports, slices)


def test_rules_are_told_the_worst_of_drift_and_of_quality():
    found = evaluated(
        report("age", Kind.DATA, Test.PSI, 0.12, Severity.MEDIUM),
        report("score", Kind.PREDICTION, Test.KS, 0.31, Severity.HIGH),
        report("age", Kind.QUALITY, Test.MISSING, 0.0, Severity.NONE),
        slices=(SliceEffect("country=AT", 100, 0.5, 0.9),),
    )
    drift, quality = observations(found)
    assert (drift.signal, drift.value, drift.severity, drift.rows) == ("drift", 0.31, Severity.HIGH, 800)
    told = "KS distance of score is 0.31, and 0.05 is tolerated; 90% of it at country=AT; 1 other column"
    assert drift.summary == told
    assert (quality.signal, quality.value, quality.severity, quality.summary) == ("quality", 0.0, Severity.NONE, "")


def test_a_look_that_could_say_nothing_does_not_tell_rules_that_all_is_well():
    unsaid = report("age", Kind.DATA, Test.PSI, 0.0, Severity.NONE, p=None, inconclusive=NotEnoughData(3, 50))
    counted = report("age", Kind.QUALITY, Test.MISSING, 0.0, Severity.NONE)
    assert [told.signal for told in observations(evaluated(unsaid, counted))] == ["quality"]


@each("test", Test)
def test_an_alarm_of_every_test_is_a_sentence_that_names_the_column(test: Test):
    found = report("hour", Kind.QUALITY, test, -0.25, Severity.HIGH, statistic=0.5, examples=("0", "1"))
    (told,) = observations(evaluated(found))
    assert "hour" in told.summary
    assert "_" not in told.summary


AGE = MonitoredColumn("age", "feature.age", "age", 0, "FP32", ColumnType.NUMERIC)
LAND = MonitoredColumn("land", "feature.land", "land", 0, "BYTES", ColumnType.CATEGORICAL)
PLAN = MonitoredColumn("plan", "feature.plan", "plan", 0, "BYTES", ColumnType.CATEGORICAL)
LABEL = MonitoredColumn("label", "output.label", "label", 0, "BYTES", ColumnType.CATEGORICAL, prediction=True)


def rows(rng: np.random.Generator, count: int = 4_000) -> dict[str, object]:
    lands, plans = rng.choice(["at", "de", "fr"], count), rng.choice(["a", "b"], count)
    return {"feature.age": rng.normal(size=count), "feature.land": lands, "feature.plan": plans, "variant": plans}


def test_slices_are_made_by_categorical_features_but_for_the_one_that_changed():
    assert explanation.sliced_by(LAND, [AGE, LAND, PLAN, LABEL]) == (PLAN,)


def test_the_slice_where_values_went_missing_is_named():
    rng = np.random.default_rng(1)
    before, now = rows(rng), rows(rng)
    now["feature.age"] = [
        None if land == "at" else value
        for land, value in zip(now["feature.land"], now["feature.age"], strict=True)  # pyright: ignore
    ]
    alarm = report("age", Kind.QUALITY, Test.MISSING, 0.33, Severity.HIGH)
    frozen = references.freeze_numeric(np.asarray(before["feature.age"]))
    found = explanation.explained(alarm, AGE, frozen, [LAND, PLAN], pa.table(before), pa.table(now))
    assert (found[0].name, found[0].effect, found[0].share) == ("land=at", 1.0, 1.0)


def test_the_slice_whose_categories_changed_is_named():
    rng = np.random.default_rng(2)
    before, now = rows(rng), rows(rng)
    now["feature.land"] = np.where(now["feature.plan"] == "b", "fr", now["feature.land"])  # pyright: ignore
    alarm = report("land", Kind.DATA, Test.CHI_SQUARE, 0.4, Severity.HIGH)
    frozen = references.freeze_categorical(np.asarray(before["feature.land"]))
    found = explanation.explained(alarm, LAND, frozen, [PLAN], pa.table(before), pa.table(now))
    assert found[0].name in ("plan=b", "variant=b")
    assert found[0].effect > 1


def attributes(rng: np.random.Generator, count: int = 4_000) -> pa.Array:
    devices, tiers = rng.choice(["phone", "desk"], count), rng.choice(["gold", ""], count)
    pairs = zip(devices, tiers, strict=True)
    given = [[("device", device), *([("tier", tier)] if tier else [])] for device, tier in pairs]
    return pa.array(given, pa.map_(pa.string(), pa.string()))


def test_the_attribute_of_requests_that_brought_the_drift_is_named():
    rng = np.random.default_rng(3)
    before, now = rows(rng) | {"attributes": attributes(rng)}, rows(rng) | {"attributes": attributes(rng)}
    phone = np.array([("device", "phone") in one for one in now["attributes"].to_pylist()])  # pyright: ignore
    now["feature.age"] = np.asarray(now["feature.age"]) + 2 * phone
    alarm = report("age", Kind.DATA, Test.PSI, 0.6, Severity.HIGH)
    frozen = references.freeze_numeric(np.asarray(before["feature.age"]))
    found = explanation.explained(alarm, AGE, frozen, [LAND, PLAN], pa.table(before), pa.table(now))
    assert (found[0].name, found[0].share > 0.9) == ("device=phone", True)
    assert found[0].rows == phone.sum()


def test_an_attribute_that_is_called_like_a_feature_does_not_explain_it():
    rng = np.random.default_rng(4)
    before, now = rows(rng), rows(rng)
    now["feature.land"] = np.where(np.arange(4_000) < 2_000, "fr", now["feature.land"])  # pyright: ignore
    for table in (before, now):
        table["attributes"] = pa.array(
            [[("land", land)] for land in table["feature.land"]],  # pyright: ignore
            pa.map_(pa.string(), pa.string()),
        )
    alarm = report("land", Kind.DATA, Test.CHI_SQUARE, 0.4, Severity.HIGH)
    frozen = references.freeze_categorical(np.asarray(before["feature.land"]))
    found = explanation.explained(alarm, LAND, frozen, [PLAN], pa.table(before), pa.table(now))
    assert [each.name for each in found if each.name.startswith("land=")] == []


def test_what_every_row_has_in_common_explains_nothing():
    rng = np.random.default_rng(5)
    before, now = (rows(rng) | {"data_plane": ["data-0"] * 4_000} for _ in range(2))
    now["feature.age"] = np.asarray(now["feature.age"]) + 1
    alarm = report("age", Kind.DATA, Test.PSI, 0.9, Severity.HIGH)
    frozen = references.freeze_numeric(np.asarray(before["feature.age"]))
    found = explanation.explained(alarm, AGE, frozen, [LAND, PLAN], pa.table(before), pa.table(now))
    assert "data_plane=data-0" not in [each.name for each in found]


def test_what_slices_cannot_explain_is_not_asked_of_them():
    moved = report("text", Kind.DATA, Test.EMBEDDING, 0.9, Severity.HIGH)
    stuck = report("age", Kind.QUALITY, Test.CONSTANT, 1.0, Severity.HIGH)
    gone = report("land", Kind.QUALITY, Test.NEW_CATEGORIES, 0.1, Severity.MEDIUM)
    assert explanation.explainable(evaluated(moved, stuck).alarms) is None
    assert explanation.explainable(evaluated(moved, stuck, gone).alarms) is gone
