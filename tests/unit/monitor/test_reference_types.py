"""A reference is compared in the contract's datatypes, whatever types its file has: the same rows never drift."""

from __future__ import annotations

import doctest
import io
import struct
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.judge.references import conversion, reference_files
from headrace_monitor.judge.references.columns import monitored_columns
from headrace_monitor.judge.references.reference_files import FreezeResult, freeze_file
from headrace_monitor.judge.references.reference_tables import RefusedError
from headrace_monitor.judge.windows.decisions.window_summaries import window_of
from headrace_monitor.record.log import decoder, raw_values
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.multiplicity import AlarmBudget
from headrace_statistics.references import Reference, Source
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.monitor.drift import START
from tests.kit.monitor.predictions import KnownContracts, batch, contract, prediction_id, report, spec

ROWS = 1_000
PRICES = (4.99, 9.99, 14.99, 19.99, 24.99)
CATEGORICAL = tensor_pb2.TensorSpec.KIND_CATEGORICAL


def version(inputs: Mapping[str, tensor_pb2.TensorSpec]):
    return KnownContracts().add("digits", "v1", contract(inputs, {"y": spec("FP32")}))


def frozen(folder: Path, columns: Mapping[str, Any], inputs: Mapping[str, tensor_pb2.TensorSpec]) -> FreezeResult:
    """Return what is frozen of a file with these columns."""
    content = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), content)
    file = folder / "reference.parquet"
    file.write_bytes(content.getvalue())
    known = version(inputs)
    return freeze_file(str(file), monitored_columns(known), known.contract)


def alarms(found: FreezeResult, sent: Mapping[str, Any], inputs: Mapping[str, tensor_pb2.TensorSpec]) -> list[str]:
    """Return what is alarmed of when these values are sent, as the log decodes them."""
    known = version(inputs)
    rows = len(next(iter(sent.values())))
    predictions = batch(sent, {"y": np.zeros(rows, np.float32)}, start_us=int(START.timestamp() * 1e6))
    asked = report(predictions, prediction_id(0), 1)
    decoded = decoder.decode(asked, {("digits", "v1"): known}, [0])
    table = decoder.join([one for tables in decoded.tables.values() for one in tables])
    window = window_of(table, monitored_columns(known), found.columns)
    reference = Reference(Source.ARTIFACT, "reference.parquet", START, found.columns, {})
    reports = evaluate(reference, window.summaries, level=AlarmBudget().level)
    assert reports
    return [f"{each.column} {each.test.value} {each.effect:.3g}" for each in reports if each.alarm]


def test_the_examples_are_as_they_say():
    assert doctest.testmod(raw_values).failed == 0
    assert doctest.testmod(conversion).failed == 0
    assert doctest.testmod(reference_files).failed == 0


@pytest.mark.parametrize("datatype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", [tensor_pb2.TensorSpec.KIND_NUMERIC, CATEGORICAL])
def test_prices_that_pandas_keeps_as_float64_do_not_drift_from_themselves(tmp_path, datatype, kind):
    rng = np.random.default_rng(20)
    inputs = {"price": spec(datatype.replace("float", "FP"), kind=kind)}
    found = frozen(tmp_path, {"price": rng.choice(PRICES, 20_000)}, inputs)
    assert alarms(found, {"price": rng.choice(PRICES, ROWS).astype(datatype)}, inputs) == []


@pytest.mark.parametrize(
    ("datatype", "told", "sent"),
    [
        pytest.param("FP32", [1, 2], np.array([1, 2], np.float32), id="integers of an FP32 category"),
        pytest.param("FP32", ["1", "2.50"], np.array([1, 2.5], np.float32), id="text of an FP32 category"),
        pytest.param("INT64", [1.0, None], np.array([1, 1]), id="floats where an integer is missing"),
        pytest.param("INT64", ["1", "2"], np.array([1, 2]), id="text of integers"),
        pytest.param("INT8", [True, False], np.array([1, 0], np.int8), id="truth as integers"),
        pytest.param("UINT64", [2**63 + 1, 2**63], np.array([2**63 + 1, 2**63], np.uint64), id="large integers"),
        pytest.param("BOOL", [1.0, 0.0], np.array([True, False]), id="floats as truth"),
        pytest.param("BOOL", ["true", "False"], np.array([True, False]), id="text as truth"),
        pytest.param("BYTES", [7.0, 8.0], np.array(["7", "8"], object), id="floats as text"),
        pytest.param("BYTES", [b"\xff", "ä".encode()], np.array([b"\xff", "ä".encode()], object), id="bytes"),
    ],
)
def test_categories_are_the_same_in_the_file_and_in_the_log(tmp_path, datatype, told, sent):
    inputs = {"x": spec(datatype, kind=CATEGORICAL)}
    rows = np.tile(sent, 500)
    plain = pa.array(told * 500, pa.uint64() if datatype == "UINT64" else None)
    for column in (plain, plain.dictionary_encode()):  # as pandas writes a category
        found = frozen(tmp_path, {"x": column}, inputs)
        assert alarms(found, {"x": rows}, inputs) == []
        (reference,) = found.columns.values()
        assert set(reference.categories.names) == {  # pyright: ignore[reportAttributeAccessIssue]
            value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in sent.tolist()
        }


def test_decimals_are_the_numbers_and_the_words_that_callers_send(tmp_path):
    cents = np.random.default_rng(22).integers(0, 10**13, 5_000)
    decimals = pa.array([Decimal(int(one)) / 100 for one in cents], pa.decimal128(38, 2))
    for column in (decimals, decimals.cast(pa.decimal256(60, 2))):
        (read,) = [conversion.as_logged(pa.chunked_array([column]), "FP64").to_numpy()]
        assert read.tolist() == [float(one) for one in decimals.to_pylist()]
    inputs = {"size": spec("BYTES", kind=CATEGORICAL)}
    sizes = pa.array([Decimal("7.00"), Decimal("7.50"), Decimal("100.00")] * 500, pa.decimal128(10, 2))
    found = frozen(tmp_path, {"size": sizes}, inputs)
    assert alarms(found, {"size": np.array(["7", "7.5", "100"] * 500, object)}, inputs) == []


@pytest.mark.parametrize("kind", ["decimal(4,1)", "decimal(9,2)", "decimal(18,3)", "decimal(38,10)", "hugeint"])
def test_decimals_of_duckdb_do_not_drift_from_what_is_sent(tmp_path, kind):
    content = str(tmp_path / "reference.parquet")
    value = "(row * 7919 % 997)::" + kind
    duckdb.sql(f"copy (select {value} / 1 as price, {value} as size from range(2000) rows(row)) to '{content}'")
    inputs = {"price": spec("FP64"), "size": spec("BYTES", kind=CATEGORICAL)}
    known = version(inputs)
    found = freeze_file(content, monitored_columns(known), known.contract)
    numbers = np.arange(2_000) * 7919 % 997
    assert alarms(found, {"price": numbers.astype(float), "size": numbers.astype(str).astype(object)}, inputs) == []
    assert not {"price", "size"} & set(found.unfit)


@pytest.mark.parametrize(("unit", "name"), [(1, "seconds"), (10**3, "milliseconds"), (10**9, "nanoseconds")])
def test_times_are_no_numbers_that_drift(tmp_path, unit, name):
    times = (1_760_000_000 + np.arange(1_000)) * unit
    found = frozen(tmp_path, {"at": times}, {"at": spec("INT64")})
    assert not found.columns
    assert f"{name} since 1970, from 2025-10-09" in str(found.unfit["at"])
    declared = frozen(tmp_path, {"at": times}, {"at": spec("INT64", minimum=0)})
    assert list(declared.columns) == ["at"]


@pytest.mark.parametrize("values", [np.arange(2e9, 3e9, 1e6), np.full(1_000, 1.5e9), np.linspace(5e8, 1.5e9, 1_000)])
def test_large_numbers_that_are_no_times_are_judged(tmp_path, values):
    assert list(frozen(tmp_path, {"x": values}, {"x": spec("FP64")}).columns) == ["x"]


def test_lists_of_a_tensor_are_converted_like_columns_of_their_own(tmp_path):
    prices = np.random.default_rng(21).choice(PRICES, (1_000, 2))
    inputs = {"price": spec("FP32", 2), "code": spec("INT32", 2, kind=CATEGORICAL), "word": spec("BYTES", 2)}
    words = [["a", "b"]] * 1_000
    found = frozen(tmp_path, {"price": prices.tolist(), "code": [[1.0, 2.0]] * 1_000, "word": words}, inputs)
    codes = np.tile(np.array([1, 2], np.int32), (1_000, 1))
    sent = {"price": prices.astype(np.float32), "code": codes, "word": np.array(words, object)}
    assert alarms(found, sent, inputs) == []
    assert len(found.columns) == 6


def test_a_declared_range_holds_the_values_that_reach_its_ends(tmp_path):
    # The FP32 nearest to 0.7 is below it, and the one nearest to 0.6 above.
    rng = np.random.default_rng(22)
    inputs = {"low": spec("FP32", minimum=0.7, maximum=0.75), "high": spec("FP32", minimum=0.5, maximum=0.6)}
    draw = {"low": rng.choice([0.7, 0.74], 2_000), "high": rng.choice([0.51, 0.6], 2_000)}
    found = frozen(tmp_path, draw, inputs)
    outside = {name: (one.summary.bins.below, one.summary.bins.above) for name, one in found.columns.items()}  # pyright: ignore
    assert outside == {"low": (0, 0), "high": (0, 0)}
    assert alarms(found, {name: values.astype(np.float32) for name, values in draw.items()}, inputs) == []


def test_an_end_that_the_datatype_cannot_have_is_none():
    (column, *_) = monitored_columns(version({"x": spec("FP16", minimum=0, maximum=1e6)}))
    assert (column.low, column.high) == (0, None)


@pytest.mark.parametrize(
    ("datatype", "values", "why"),
    [
        pytest.param("FP32", ["x"] * 100, "string, which is no number", id="words"),
        pytest.param("INT64", [1.0, 2.5] * 50, "not all of its values are INT64", id="fractions"),
        pytest.param("INT64", [1.0, np.inf] * 50, "not all of its values are INT64", id="infinities"),
        pytest.param("UINT8", [1, 256] * 50, "not all of its values are UINT8", id="too large"),
        pytest.param("UINT8", [1, -1] * 50, "not all of its values are UINT8", id="negative"),
        pytest.param("BOOL", [1, 2] * 50, "not all of its values are BOOL", id="neither yes nor no"),
        pytest.param("FP32", [START] * 100, "timestamp.*, which is no number", id="times"),
        pytest.param("BYTES", [{"a": 1}] * 100, "which is no single value", id="structures"),
    ],
)
def test_a_column_that_cannot_be_converted_refuses_the_reference_by_its_name(tmp_path, datatype, values, why):
    with pytest.raises(RefusedError, match=rf"^column 'x' cannot be converted to what the contract says: .*{why}"):
        frozen(tmp_path, {"x": values, "y": np.arange(100.0)}, {"x": spec(datatype)})


@given(st.floats(width=64), st.sampled_from(["e", "f", "d"]))
def test_rounding_is_that_of_ieee_754(value, code):
    datatype = {"e": "FP16", "f": "FP32", "d": "FP64"}[code]
    try:
        (expected,) = struct.unpack(code, struct.pack(code, value))
    except OverflowError:
        expected = np.copysign(np.inf, value)
    assert np.array_equal(raw_values.rounded(np.array([value]), datatype), [expected], equal_nan=True)


@given(st.floats(width=32))
def test_bf16_is_the_nearest_of_the_two_beside_it(value):
    (found,) = raw_values.rounded(np.array([value]), "BF16")
    raw = np.array([found], np.float32).view(np.uint32)[0]
    assert raw & 0xFFFF == 0 or np.isnan(value)
    below = np.array([value], np.float32).view(np.uint32) & 0xFFFF0000
    beside = [float(bits.view(np.float32)[0]) for bits in (below, below + 0x10000) if (bits[0] >> 23 & 0xFF) < 0xFF]
    if len(beside) == 2:
        assert abs(found - value) == min(abs(one - value) for one in beside)
