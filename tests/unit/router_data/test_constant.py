"""Values that a route gives, as the outputs of a version."""

import struct

import pytest
from headrace.router.v1 import predict_pb2, route_pb2
from headrace_router.data.tables.contract import Contract, Spec
from headrace_router.data.tables.decisions.fallback_steps import ConstantRow, encoded, packed

from tests.kit.rows import each

CONTRACT = Contract(
    (Spec("x", "FP32", ()),),
    (Spec("label", "INT64", ()), Spec("probabilities", "FP32", (3,)), Spec("why", "BYTES", (2,))),
)


def values(*numbers, strings=()):
    return route_pb2.FallbackStep.Values(numbers=numbers, strings=strings)


ROW = route_pb2.FallbackStep.Row(
    outputs={"label": values(7), "probabilities": values(0.1, 0.2, 0.7), "why": values(strings=["né", ""])}
)


def decoded(outputs: bytes):
    message = predict_pb2.PredictResponse.FromString(outputs)
    return {
        tensor.name: (tensor.datatype, list(tensor.shape), content)
        for tensor, content in zip(message.outputs, message.raw_output_contents, strict=True)
    }


def test_a_row_is_given_as_often_as_there_are_rows():
    found = decoded(encoded(ROW.outputs, CONTRACT, 2, ()))
    assert found == {
        "label": ("INT64", [2], struct.pack("<2q", 7, 7)),
        "probabilities": ("FP32", [2, 3], struct.pack("<6f", 0.1, 0.2, 0.7, 0.1, 0.2, 0.7)),
        "why": ("BYTES", [2, 2], b"\x03\0\0\0n\xc3\xa9\0\0\0\0" * 2),
    }


def test_only_the_outputs_wanted_are_given():
    assert list(decoded(encoded(ROW.outputs, CONTRACT, 1, (0, 2)))) == ["label", "why"]


def test_a_row_is_encoded_once_per_version_rows_and_outputs():
    given = ConstantRow(ROW)
    first = given.outputs("v1", CONTRACT, 4, ())
    assert given.outputs("v1", CONTRACT, 4, ()) is first
    assert given.outputs("v1", CONTRACT, 5, ()) != first


def test_what_is_kept_encoded_is_bounded(monkeypatch):
    given = ConstantRow(ROW)
    monkeypatch.setattr("headrace_router.data.tables.decisions.fallback_steps.MAX_KEPT_BYTES", 2000)
    for rows in range(1, 40):
        given.outputs("v1", CONTRACT, rows, ())
    again = given.outputs("v1", CONTRACT, 39, ())
    assert decoded(again)["label"][1] == [39]
    assert given.outputs("v1", CONTRACT, 1, ()) is not None


@pytest.mark.parametrize(
    ("spec", "given", "expected"),
    [
        (Spec("y", "BOOL", (2,)), values(0, 1), b"\0\1"),
        (Spec("y", "INT8", (2,)), values(-1, 5), b"\xff\x05"),
        (Spec("y", "FP16", ()), values(1), b"\x00\x3c"),
        (Spec("y", "BF16", (3,)), values(1, -2.5, float("inf")), b"\x80\x3f\x20\xc0\x80\x7f"),
        (Spec("y", "BF16", ()), values(float("nan")), b"\xc0\x7f"),
        (Spec("y", "FP64", ()), values(0.1), struct.pack("<d", 0.1)),
    ],
)
def test_datatypes(spec, given, expected):
    assert packed(spec, given) == expected


@each(
    "spec,given,told",
    [
        pytest.param(Spec("y", "FP32", (2,)), values(1), "has 1 values, a row of it 2", id="too few"),
        pytest.param(Spec("y", "FP32", ()), values(1, 2), "has 2 values, a row of it 1", id="too many"),
        pytest.param(Spec("y", "FP32", (-1, 2)), values(1), "a multiple of 2", id="of a dimension that varies"),
        pytest.param(Spec("y", "FP32", (-1, -1)), values(1), "is ambiguous", id="two of them"),
        pytest.param(Spec("y", "INT8", ()), values(200), "not INT8", id="out of range"),
        pytest.param(Spec("y", "INT8", ()), values(1.5), "not whole", id="not whole"),
        pytest.param(Spec("y", "INT64", ()), values(float("nan")), "not INT64", id="no number"),
        pytest.param(Spec("y", "BOOL", ()), values(2), "neither 0 nor 1", id="no truth value"),
        pytest.param(Spec("y", "BF16", ()), values(3.4e38), "too large", id="above BF16"),
        pytest.param(Spec("z", "FP32", ()), values(1), "'z' is missing", id="missing"),
    ],
)
def test_values_that_are_no_row_are_told(spec, given, told):
    with pytest.raises(ValueError, match=told):
        encoded({"y": given}, Contract((spec,), (spec,)), 1, ())


def test_a_dimension_that_varies_is_as_long_as_the_values():
    spec = Spec("y", "FP32", (2, -1))
    assert decoded(encoded({"y": values(1, 2, 3, 4, 5, 6)}, Contract((spec,), (spec,)), 2, ()))["y"][1] == [2, 2, 3]
