"""Columns that are judged, rows as windows, and what is summarised together."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn, monitored_columns
from headrace_monitor.judge.references.reference_tables import Place, places
from headrace_monitor.judge.references.values import UnusableColumnError, coded_names, matrix, names, numbers
from headrace_monitor.judge.windows.decisions.window_summaries import EMPTY, window_of, windows_of
from headrace_monitor.judge.windows.deriver import BATCH_FILES, BATCH_ROWS, batches_of
from headrace_monitor.judge.windows.postgres import merged
from headrace_monitor.judge.windows.store import PendingFile
from headrace_monitor.record.log.contracts import version_contract
from headrace_monitor.record.log.files import LogFile
from headrace_statistics import references
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.drift.reports import Test
from headrace_statistics.multiplicity import AlarmBudget
from headrace_statistics.references import Reference, Source

from tests.kit.monitor.drift import START, contract
from tests.kit.monitor.feature_log import records

NUMBER = MonitoredColumn("age", "feature.age", "age", 0, "FP32", ColumnType.NUMERIC)
OTHER = MonitoredColumn("size", "feature.size", "size", 0, "FP32", ColumnType.NUMERIC)
SCORE = MonitoredColumn("score", "output.score", "score", 0, "FP32", ColumnType.NUMERIC, prediction=True)


def chunks(*values: object, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


def test_judged_is_what_the_contract_lists_but_for_what_is_sensitive():
    version = version_contract("m", "v", registry_pb2.ModelVersion(contract=contract()))
    found = {column.name: column for column in monitored_columns(version)}
    assert list(found) == [
        *("person.age", "person.income", "share", "country", "text"),
        *("scores.good", "scores.fraud", "prediction_label"),
    ]
    assert found["share"].declared == (0, 1)
    assert [column.name for column in found.values() if column.prediction] == list(found)[5:]
    assert (found["text"].read_as, found["text"].width) == (ColumnType.EMBEDDING, 8)
    assert found["country"].read_as is ColumnType.CATEGORICAL


def test_an_output_that_is_called_like_an_input_is_told_apart():
    twins = contract()
    twins.outputs[0].name, twins.outputs[0].columns[:] = "person", ["age", "income"]
    version = version_contract("m", "v", registry_pb2.ModelVersion(contract=twins))
    assert [column.name for column in monitored_columns(version) if column.prediction] == [
        *("output.person.age", "output.person.income", "prediction_label")
    ]


def test_columns_are_found_by_the_names_that_people_give_them():
    a, b = (MonitoredColumn(f"{t}.x", f"feature.{t}.x", t, 0, "FP32", ColumnType.NUMERIC, width=2) for t in "ab")
    y = MonitoredColumn("a.y", "feature.a.y", "a", 1, "FP32", ColumnType.NUMERIC, width=2)
    assert places([a, b, y], {"a.x", "feature.b.x", "y"}) == {
        "a.x": Place("a.x"),
        "b.x": Place("feature.b.x"),
        "a.y": Place("y"),
    }
    # `x` could be either one; a list may hold the whole tensor.
    assert places([a, b, y], {"x", "a"}) == {"a.x": Place("a", 0), "a.y": Place("a", 1)}


@pytest.mark.parametrize(
    ("array", "datatype", "counts"),
    [
        pytest.param(chunks(3.0, None, 3.0), "BYTES", {"3": 2, None: 1}, id="whole numbers that pandas made floats"),
        pytest.param(chunks(3.5, float("nan")), "FP32", {"3.5": 1, None: 1}, id="not a number is missing"),
        pytest.param(chunks(True, False, True), "BOOL", {"True": 2, "False": 1}, id="truth"),
        pytest.param(chunks(b"a", "ä".encode(), kind=pa.binary()), "BYTES", {"a": 1, "ä": 1}, id="bytes"),
        pytest.param(chunks(None, None), "BYTES", {None: 2}, id="nothing"),
    ],
)
def test_categories_have_the_same_names_wherever_they_come_from(array, datatype, counts):
    assert names(array, datatype) == counts
    codes, told = coded_names(array, datatype)
    assert {None if code < 0 else told[code] for code in codes} == set(counts)


def test_what_is_no_number_and_no_list_is_refused():
    with pytest.raises(UnusableColumnError, match="string, which is no number"):
        numbers(chunks("x"))
    with pytest.raises(UnusableColumnError, match="lists of 2 values"):
        matrix(chunks(1.0), 2)
    with pytest.raises(UnusableColumnError, match="no category"):
        names(chunks({"a": 1}), "BYTES")
    fit, others = matrix(chunks([1.0, 2.0], [1.0], None), 2)
    assert (fit.tolist(), others) == ([[1.0, 2.0]], 2)


def test_rows_fall_into_windows_by_time_variant_and_source():
    frozen = {"age": references.freeze_numeric(np.arange(100.0))}
    first = records(START, {"feature.age": np.arange(100.0)}, lasting=timedelta(minutes=2))
    second = records(START, {"feature.age": np.arange(10.0)}, variant="canary", lasting=timedelta(seconds=1))
    found = windows_of(pa.concat_tables([first, second]), [NUMBER], frozen, 60)
    assert {(key.start, key.variant, key.source): window.rows for key, window in found.items()} == {
        (START, "main", "online"): 50,
        (START + timedelta(minutes=1), "main", "online"): 50,
        (START, "canary", "online"): 10,
    }
    total = EMPTY
    for window in found.values():
        total = total.merge(window)
    whole = references.summarise_numeric(np.concatenate([np.arange(100.0), np.arange(10.0)]), frozen["age"].edges)
    assert total.summaries["age"].bins == whole.bins  # pyright: ignore[reportAttributeAccessIssue]


def test_rows_that_were_asked_without_features_lack_none():
    values = np.random.default_rng(1).normal(size=1_000)
    frozen = {column.name: references.freeze_numeric(values) for column in (NUMBER, OTHER, SCORE)}
    table = records(
        START,
        {"feature.age": [1.0, None, None], "feature.size": [None, None, 2.0], "output.score": [0.5, 0.5, 0.5]},
    )
    window = window_of(table, [NUMBER, OTHER, SCORE], frozen)
    missing = {name: summary.bins.missing for name, summary in window.summaries.items()}  # pyright: ignore
    assert (missing, window.rows) == ({"age": 1, "size": 1, "score": 0}, 3)
    assert {name: summary.rows for name, summary in window.summaries.items()} == {"age": 2, "size": 2, "score": 3}


def test_a_million_rows_of_the_same_raise_nothing_and_a_third_of_a_deviation_does():
    rng = np.random.default_rng(3)
    reference = Reference(
        Source.ARTIFACT,
        "reference.parquet",
        START,
        {name: references.freeze_numeric(rng.normal(size=1_000_000)) for name in ("age", "size")},
        {},
    )
    same, moved = rng.normal(size=1_000_000), rng.normal(0.3, 1, size=1_000_000)
    window = window_of(records(START, {"feature.age": same, "feature.size": moved}), [NUMBER, OTHER], reference.columns)
    reports = evaluate(reference, window.summaries, level=AlarmBudget().level)
    assert {report.column for report in reports if report.alarm} == {"size"}


def due(reference: int, rows: int) -> PendingFile:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    return PendingFile(reference, LogFile(1, "m", "v", at, "key", 1, rows, rows, at, at, merged=False))


@pytest.mark.parametrize(
    ("files", "sizes"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([due(1, 10)] * 3 + [due(2, 10)], [3, 1], id="one reference at a time"),
        pytest.param([due(1, 10)] * (BATCH_FILES + 1), [BATCH_FILES, 1], id="many files"),
        pytest.param([due(1, BATCH_ROWS - 1), due(1, 1), due(1, 1)], [2, 1], id="many rows"),
        pytest.param([due(1, BATCH_ROWS * 9), due(1, 1)], [1, 1], id="one larger than allowed goes alone"),
    ],
)
def test_files_are_summarised_in_bounded_batches(files, sizes):
    assert [len(batch) for batch in batches_of(files)] == sizes


def test_rows_of_one_user_count_as_one_however_they_came_together():
    rng = np.random.default_rng(3)
    columns = {"age": references.freeze_numeric(rng.normal(size=5_000))}
    ages = np.repeat(rng.normal(size=200), 5)
    users = np.repeat([f"user {index}" for index in range(200)], 5)
    order = rng.permutation(1_000)
    parts = [pa.table({"unit": users[at], "feature.age": ages[at]}) for at in np.array_split(order, 3)]
    windows = [window_of(part, [NUMBER], columns) for part in parts]
    together = EMPTY
    for window in windows:
        together = together.merge(window)
    other = windows[2].merge(windows[0]).merge(windows[1])
    assert together.design_effects(columns) == other.design_effects(columns)
    effect = together.design_effects(columns)["age"]
    assert 4 < effect < 8
    (report,) = [
        one
        for one in evaluate(
            Reference(Source.ARTIFACT, "", START, columns, {}),
            together.summaries,
            level=0.01,
            design_effects=together.design_effects(columns),
        )
        if one.test is Test.PSI
    ]
    assert (report.n_window, report.design_effect) == (pytest.approx(1_000 / effect, abs=1), effect)


def test_independent_rows_of_one_user_or_of_one_request_count_each():
    rng = np.random.default_rng(4)
    columns = {"age": references.freeze_numeric(rng.normal(size=5_000))}
    requests = np.repeat([f"0190-{index}" for index in range(50)], 20)
    rows = pa.table({"unit": [""] * 1_000, "prediction_id": requests, "feature.age": rng.normal(size=1_000)})
    window = window_of(rows, [NUMBER], columns)
    assert window.design_effects(columns)["age"] < 2
    alone = window_of(rows.set_column(0, "unit", pa.array(["batch"] * 1_000)), [NUMBER], columns)
    assert alone.design_effects(columns) == {"age": 1.0}


def test_windows_of_an_older_release_have_independent_rows():
    columns = {"age": references.freeze_numeric(np.arange(300.0))}
    window = window_of(pa.table({"unit": ["a"] * 100, "feature.age": np.arange(100.0)}), [NUMBER], columns)
    row = merged(None, window)
    assert merged(row, window).rows == 200
    assert merged((*row[:3], None), window).rows == 200
