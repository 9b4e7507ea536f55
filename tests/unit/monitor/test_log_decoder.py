"""Batches become tables: every value where its column says, odd ones null, none an error."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from headrace.telemetry.v1 import telemetry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.record.log import answers, decoder
from headrace_monitor.record.log.records import served_from
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.monitor.predictions import (
    KnownContracts,
    answer,
    batch,
    contract,
    datatype_of,
    joined,
    raw,
    report,
    spec,
)

PROCESS = uuid.UUID(int=7)
HOUR_US = 3_600_000_000
NUMBERS = {
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "BOOL": "?", "INT8": "i1", "INT16": "<i2", "INT32": "<i4",
    "INT64": "<i8", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
}  # fmt: skip
EMBEDDING = tensor_pb2.TensorSpec.KIND_EMBEDDING


def decoded(predictions: telemetry_pb2.PredictionBatch, promised: tensor_pb2.ServingContract) -> decoder.DecodedBatch:
    known = KnownContracts()
    known.add("digits", "v1", promised)
    return decoder.decode(report(predictions, PROCESS, 3), known.known, range(len(predictions.groups)))


def table(predictions: telemetry_pb2.PredictionBatch, promised: tensor_pb2.ServingContract) -> pa.Table:
    found = decoded(predictions, promised)
    return decoder.join([one for tables in found.tables.values() for one in tables])


def scored(outputs: dict[str, Any], promised: Mapping[str, tensor_pb2.TensorSpec], **fields: Any) -> list[tuple]:
    """Return label, value and score of each row."""
    rows = len(next(iter(outputs.values())))
    found = table(batch({"x": np.zeros(rows, "f4")}, outputs), contract({"x": spec("FP32")}, promised, **fields))
    names = ("prediction_label", "prediction_value", "prediction_score")
    return list(zip(*(found[name].to_pylist() for name in names), strict=True))


def same(seen: list[Any], wanted: list[Any]) -> bool:
    """Return whether values are the same; NaN is NaN."""
    return str(seen) == str(wanted)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_value_of_every_datatype_is_found_under_its_name(data: st.DataObject):
    datatype = data.draw(st.sampled_from(sorted(NUMBERS)))
    rows = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    width = data.draw(st.integers(1, 4))
    content = data.draw(st.binary(min_size=8 * width * sum(rows), max_size=8 * width * sum(rows)))
    stored = np.frombuffer(content, "u1" if datatype == "BOOL" else NUMBERS[datatype])[: width * sum(rows)]
    values = (stored > 127 if datatype == "BOOL" else stored).reshape(sum(rows), width)
    promised = contract({"x": spec(datatype, width)}, {"y": spec(datatype, -1)})
    found = table(batch({"x": values}, {"y": values}, rows=rows), promised)
    for column in range(width):
        name = "feature.x" if width == 1 else f"feature.x.{column}"
        assert same(found[name].to_pylist(), values[:, column].tolist())
    assert all(same(*pair) for pair in zip(found["output.y"].to_pylist(), values.tolist(), strict=True))
    assert found["rows"].to_pylist() == [size for size in rows for _ in range(size)]
    assert found["row"].to_pylist() == [row for size in rows for row in range(size)]


@settings(max_examples=100, deadline=None)
@given(
    raws=st.lists(st.binary(max_size=40), min_size=3, max_size=3),
    encoded=st.lists(st.binary(max_size=40), min_size=3, max_size=3),
    datatype=st.sampled_from([*sorted(NUMBERS), "BF16", "BYTES", "COMPLEX"]),
    shape=st.lists(st.integers(-2, 2**31), max_size=3),
)
def test_any_bytes_whatever_give_a_record_for_each_row(raws, encoded, datatype, shape):
    predictions = batch({"x": np.zeros((3, 2), "f4")}, {"y": np.zeros((3, 2), "f4")})
    del predictions.inputs[:], predictions.outputs[:], predictions.groups[0].inputs[0].shape[:]
    predictions.groups[0].inputs[0].datatype = datatype
    predictions.groups[0].inputs[0].shape.extend(shape)
    predictions.inputs.extend(raws)
    predictions.outputs.extend(encoded)
    promised = contract({"x": spec(datatype, -1)}, {"y": spec("FP32", 2)}, task="CLASSIFICATION")
    assert table(predictions, promised).num_rows == 3


def test_rows_that_cannot_be_read_are_null_and_counted_and_their_neighbours_are_not():
    predictions = batch({"x": np.array([[1, 2], [3, 4], [5, 6]], "f4"), "t": ["a", "b", "c"]}, {"y": [1.0, 2.0, 3.0]})
    predictions.inputs[2] = b"\0" * 7
    predictions.inputs[5] = b"\xff\xff\xff\x7fc"
    predictions.outputs[0] = b"\xff"
    found = decoded(predictions, contract({"x": spec("FP32", 2), "t": spec("BYTES")}, {"y": spec("FP64")}))
    columns = decoder.join([one for tables in found.tables.values() for one in tables]).to_pydict()
    order = [
        columns["prediction_id"].index(str(uuid.UUID(bytes=predictions.prediction_ids[16 * i : 16 * i + 16])))
        for i in range(3)
    ]
    seen = {name: [columns[name][place] for place in order] for name in ("feature.x.0", "feature.t", "output.y")}
    assert seen == {"feature.x.0": [1.0, None, 5.0], "feature.t": ["a", "b", None], "output.y": [None, 2.0, 3.0]}
    assert found.odd == 3


def test_an_input_that_is_not_what_the_contract_says_is_left_out_and_counted():
    predictions = batch({"x": np.zeros((4, 3), "f4")}, {"y": np.zeros(4, "f4")})
    for promised in (spec("FP64", 3), spec("FP32", 2)):
        found = decoded(predictions, contract({"x": promised}, {"y": spec("FP32")}))
        ((one,),) = found.tables.values()
        assert found.odd == 4
        assert [name for name in one.column_names if name.startswith("feature.")] == []


def test_a_shape_that_claims_far_more_than_its_bytes_costs_no_memory():
    predictions = batch({"x": np.zeros((2, 1), "f4")}, {"y": np.zeros((2, 3), "f4")})
    predictions.outputs[0] = predictions.outputs[0].replace(b"\x1a\x02\x01\x03", b"\x1a\x06\x01\x80\x80\x80\x80\x08")
    found = decoded(predictions, contract({"x": spec("FP32", 1)}, {"y": spec("FP32", -1)}))
    assert found.odd == 1


def test_brain_floats_are_the_upper_half_of_floats():
    predictions = batch({"x": np.array([[0x3F80], [0xFF80]], "u2")}, {"y": np.zeros(2, "f4")})
    predictions.groups[0].inputs[0].datatype = "BF16"
    found = table(predictions, contract({"x": spec("BF16", 1)}, {"y": spec("FP32")}))
    assert found["feature.x"].to_pylist() == [1.0, -np.inf]


def test_an_embedding_is_one_list():
    points = np.array([[1, 2, 3], [4, 5, np.nan]], "f4")
    found = table(batch({"e": points}, {"y": [0.0, 1.0]}), contract({"e": spec("FP32", 3, kind=EMBEDDING)}, {}))
    assert found["feature.e"].type == pa.list_(pa.float32())
    assert same(found["feature.e"].to_pylist()[1], points[1].tolist())


def test_records_go_to_the_hour_of_their_answer():
    start = 100 * HOUR_US - 1
    predictions = batch({"x": np.zeros(2, "f4")}, {"y": np.zeros(2, "f4")}, start_us=start, every_us=1)
    found = decoded(predictions, contract({"x": spec("FP32")}, {"y": spec("FP32")}))
    assert [(partition.hour.hour, tables[0].num_rows) for partition, tables in found.tables.items()] == [(3, 1), (4, 1)]
    assert found.tables.keys() == {("digits", "v1", datetime(1970, 1, 5, hour, tzinfo=UTC)) for hour in (3, 4)}


def test_groups_that_lack_columns_of_each_other_join():
    promised = contract({"a": spec("FP32"), "b": spec("INT64", optional=True)}, {"y": spec("FP32")})
    ones = np.ones(1, "f4")
    both = batch({"a": ones, "b": [2]}, {"y": ones})
    one = batch({"a": ones}, {"y": ones})
    assert table(joined(both, one), promised)["feature.b"].to_pylist() == [2, None]


def test_the_class_with_the_highest_score_is_predicted():
    promised = {"s": spec("FP32", 3)}
    scores = {"s": np.array([[1, 3, 2], [np.nan, 1, 1], [5, 5, 5]], "f4")}
    assert scored(scores, promised, task="CLASSIFICATION") == [("1", 3.0, None), (None, None, None), ("0", 5.0, None)]
    assert scored(scores, promised, labels=["a", "b", "c"])[0] == ("b", 3.0, None)
    assert scored(scores, promised) == [(None, None, None)] * 3


def test_of_two_classes_the_second_has_the_score():
    two = scored(
        {"s": np.array([[0.25, 0.75]], "f8")}, {"s": spec("FP64", 2)}, task="CLASSIFICATION", labels=["no", "yes"]
    )
    one = scored({"s": np.array([0.75, 0.25])}, {"s": spec("FP64")}, task="CLASSIFICATION", labels=["no", "yes"])
    assert two == [("yes", 0.75, 0.75)]
    assert one == [("yes", 0.75, 0.75), ("no", 0.75, 0.25)]


def test_a_label_takes_its_score_from_the_one_output_of_scores():
    promised = {"label": spec("INT64"), "shares": spec("FP64", 2)}
    outputs = {"label": np.array([1, 0, 9]), "shares": np.array([[0.25, 0.75], [0.5, 0.5], [1, 0]])}
    known, also, beyond = scored(outputs, promised, task="CLASSIFICATION", labels=["no", "yes"])
    assert (known, also) == (("yes", 0.75, 0.75), ("no", 0.5, 0.5))
    assert beyond[0] == "9"
    assert np.isnan(beyond[1])
    text = {"label": spec("BYTES"), "shares": spec("FP64", 2)}
    outputs["label"] = np.array(["yes", "no", "maybe"])
    assert [one[:1] for one in scored(outputs, text)] == [("yes",), ("no",), ("maybe",)]


def test_a_quantity_is_its_value():
    assert scored({"y": np.array([1.5, np.inf])}, {"y": spec("FP64", 1)}, task="REGRESSION") == [
        (None, 1.5, None),
        (None, np.inf, None),
    ]
    assert scored({"y": np.ones((1, 2))}, {"y": spec("FP64", 2)}, task="REGRESSION") == [(None, None, None)]


def test_a_prediction_that_must_not_be_stored_is_none():
    promised = {"y": spec("FP64", sensitive=True), "z": spec("FP64")}
    assert scored({"y": np.array([1.5]), "z": np.array([2.5])}, promised, task="REGRESSION") == [(None, None, None)]


@given(
    arrays=st.lists(st.lists(st.lists(st.integers(-9, 9), max_size=3), max_size=2), min_size=1, max_size=12),
    spoiled=st.sets(st.integers(0, 11)),
)
def test_answers_are_taken_apart_as_if_each_were_parsed(arrays, spoiled):
    encoded = [
        answer({f"y{number}": np.array([values], "i8") for number, values in enumerate(outputs)}) for outputs in arrays
    ]
    encoded = [one[:-1] if number in spoiled else one for number, one in enumerate(encoded)]
    alone = [answers.take_apart([one])[0] for one in encoded]
    assert answers.take_apart(encoded) == alone
    for number, outputs in enumerate(arrays):
        if number not in spoiled and outputs:
            assert alone[number].raw == tuple(raw(np.array(values, "i8")) for values in outputs)
            assert {one.datatype for one in alone[number].layout} == {datatype_of(np.array([1]))}
            assert alone[number].rows == 1


def test_a_source_has_the_name_that_answers_give_it():
    assert [served_from(odd) for odd in (0, 6, -1)] == [""] * 3
    assert [served_from(known) for known in range(1, 6)] == ["online", "cache", "precomputed", "stale", "fallback"]
