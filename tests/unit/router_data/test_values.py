import base64
import math
import struct
from typing import Any

import numpy as np
import orjson
import pytest
from headrace_router.data.protocols.values import MAX_VIOLATIONS, WrongValues, decode, encode
from headrace_router.data.tables.contract import ELEMENT_BYTES, Spec, bytes_fault
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.rows import each

NUMPY = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "FP16": np.float16, "FP32": np.float32,
    "FP64": np.float64,
}  # fmt: skip


def where(row: int) -> str:
    return f"instances[{row}].x"


def faults(spec: Spec, *rows) -> list[tuple[str, str]]:
    with pytest.raises(WrongValues) as caught:
        encode(spec, rows, where)
    return [(one.field, one.description) for one in caught.value.violations]


def through_json(datatype: str, content: bytes, shape: tuple[int, ...]) -> bytes:
    """Return what a client sends back that reads an output and gives it as an input."""
    written = orjson.dumps(decode(datatype, shape, content), option=orjson.OPT_SERIALIZE_NUMPY)
    spec = Spec("x", datatype, shape[1:], nan_allowed=True)
    return encode(spec, orjson.loads(written), where)[0]


@given(st.data())
def test_every_value_of_every_number_type_survives_a_round_trip_through_json(data):
    datatype = data.draw(st.sampled_from(sorted(NUMPY)))
    size = np.dtype(NUMPY[datatype]).itemsize
    count = data.draw(st.integers(1, 12))
    content = data.draw(st.binary(min_size=size * count, max_size=size * count))
    if datatype == "BOOL":
        content = bytes(byte & 1 for byte in content)
    array = np.frombuffer(content, NUMPY[datatype])
    back = np.frombuffer(through_json(datatype, content, (1, count)), NUMPY[datatype])
    np.testing.assert_array_equal(back, array)


@given(st.binary(min_size=2, max_size=40).filter(lambda content: len(content) % 2 == 0))
def test_bf16_survives_a_round_trip_through_json(content):
    words = np.frombuffer(content, "<u2")
    words = np.where(((words & 0x7F80) == 0x7F80) & ((words & 0x7F) != 0), np.uint16(0x7FC0), words).astype("<u2")
    assert through_json("BF16", words.tobytes(), (1, len(words))) == words.tobytes()


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=6))
def test_bytes_survive_a_round_trip_through_json(items):
    content = encoded_texts(items)
    assert through_json("BYTES", content, (1, len(items))) == content


def test_fp32_is_written_in_its_shortest_exact_form():
    assert orjson.dumps(decode("FP32", (1, 2), struct.pack("<2f", 0.1, 1 / 3)), option=orjson.OPT_SERIALIZE_NUMPY) == (
        b"[[0.1,0.33333334]]"
    )


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
def test_what_json_has_no_number_for_is_written_as_in_proto_json(datatype):
    spec = Spec("x", datatype, (3,), nan_allowed=True)
    content, _ = encode(spec, [["NaN", "Infinity", "-Infinity"]], where)
    assert decode(datatype, (1, 3), content) == [["NaN", "Infinity", "-Infinity"]]


@pytest.mark.parametrize(("shape", "expected"), [((2, 0), [[], []]), ((2, 2, 0), [[[], []], [[], []]]), ((0, 3), [])])
@pytest.mark.parametrize("datatype", ["BYTES", "FP32"])
def test_rows_without_elements_are_rows_all_the_same(datatype: str, shape: tuple[int, ...], expected: list[Any]):
    assert orjson.loads(orjson.dumps(decode(datatype, shape, b""), option=orjson.OPT_SERIALIZE_NUMPY)) == expected


def test_null_is_nan_where_the_contract_allows_nan():
    content, _ = encode(Spec("x", "FP64", (), nan_allowed=True), [None, 1.5], where)
    first, second = struct.unpack("<2d", content)
    assert math.isnan(first)
    assert second == 1.5


@each(
    "spec,rows,content",
    [
        pytest.param(Spec("x", "INT64", ()), [1, -2], struct.pack("<2q", 1, -2), id="one value per row"),
        pytest.param(Spec("x", "FP32", (1,)), [1, [2.5]], struct.pack("<2f", 1, 2.5), id="[3] may be written 3"),
        pytest.param(Spec("x", "FP32", (2, 2)), [[[1, 2], [3, 4]]], struct.pack("<4f", 1, 2, 3, 4), id="matrix"),
        pytest.param(Spec("x", "UINT8", (-1,)), [[1, 2, 3]], b"\1\2\3", id="variable"),
        pytest.param(Spec("x", "UINT8", (2, -1)), [[[1], [2]]], b"\1\2", id="variable inside"),
        pytest.param(Spec("x", "UINT8", (0, 2)), [[]], b"", id="empty"),
        pytest.param(Spec("x", "BOOL", (2,)), [[True, False]], b"\1\0", id="booleans"),
        pytest.param(Spec("x", "BYTES", ()), ["ä"], b"\2\0\0\0\xc3\xa4", id="text"),
        pytest.param(
            Spec("x", "BYTES", ()), [{"b64": base64.b64encode(b"\xff").decode()}], b"\1\0\0\0\xff", id="bytes"
        ),
        pytest.param(
            Spec("x", "FP32", (2,), columns=("age", "income")),
            [{"income": 2, "age": 1}, [3, 4]],
            struct.pack("<4f", 1, 2, 3, 4),
            id="columns by name",
        ),
    ],
)
def test_rows_become_raw_bytes(spec, rows, content):
    assert encode(spec, rows, where)[0] == content


@each(
    "spec,row,told",
    [
        pytest.param(Spec("x", "FP32", (3,)), [1, 2], "2 values where the contract has 3", id="short"),
        pytest.param(Spec("x", "FP32", (3,)), 5, "a list of 3 values is needed", id="scalar for a list"),
        pytest.param(Spec("x", "FP32", ()), [5], "a list where FP32", id="list for a scalar"),
        pytest.param(Spec("x", "FP32", (2, 2)), [[1, 2], [3]], "a list of 1 where one of 2", id="ragged inside"),
        pytest.param(Spec("x", "FP32", (2, -1)), [[1, 2], [3]], "a list of 1 where one of 2", id="ragged, variable"),
        pytest.param(Spec("x", "FP32", (2, 2)), [[1, 2], 3], "the number 3 where a list", id="flat inside"),
        pytest.param(Spec("x", "FP32", (2,)), [1, "2"], "element 1: the string '2' where FP32", id="string"),
        pytest.param(Spec("x", "FP32", (2,)), [True, 2], "element 0: true where FP32", id="boolean for a number"),
        pytest.param(
            Spec("x", "BOOL", (2,)), [1, True], "element 0: the number 1 where BOOL", id="number for a boolean"
        ),
        pytest.param(Spec("x", "FP32", (2,)), [1, None], "allows no NaN", id="null"),
        pytest.param(Spec("x", "FP32", (2,)), [1, "NaN"], "allows no NaN", id="NaN"),
        pytest.param(Spec("x", "FP32", (2,)), [1, [2]], "a list where FP32", id="too deep"),
        pytest.param(Spec("x", "INT64", (2,)), [1, 2.0], "the number 2.0 where INT64", id="fraction for an integer"),
        pytest.param(Spec("x", "UINT8", (2,)), [255, 256], "element 1: 256 is not within UINT8", id="too large"),
        pytest.param(Spec("x", "UINT64", ()), -1, "-1 is not within UINT64", id="negative"),
        pytest.param(Spec("x", "INT64", ()), 2**63, "is not within INT64", id="int64 overflow"),
        pytest.param(Spec("x", "FP32", ()), 1e39, "1e+39 is not within FP32", id="fp32 overflow"),
        pytest.param(Spec("x", "FP16", ()), 65520.0, "is not within FP16", id="fp16 overflow"),
        pytest.param(Spec("x", "BF16", ()), 3.4e38, "is not within BF16", id="bf16 overflow"),
        pytest.param(Spec("x", "BYTES", ()), 5, "the number 5 where BYTES", id="number for a text"),
        pytest.param(Spec("x", "BYTES", ()), {"b64": "?"}, "not base64", id="no base64"),
        pytest.param(Spec("x", "FP32", (2,)), {"age": 1}, "names no columns", id="no columns"),
        pytest.param(Spec("x", "FP32", (2,), columns=("a", "b")), {"a": 1, "c": 2}, "unknown column 'c'", id="unknown"),
        pytest.param(Spec("x", "FP32", (2,), columns=("a", "b")), {"a": 1}, "column 'b' is missing", id="missing"),
    ],
)
def test_wrong_values_are_named_by_row_and_element(spec, row, told):
    good: list = {"BYTES": "t", "BOOL": True}.get(spec.datatype, 0)  # type: ignore[assignment]
    for size in reversed(spec.shape):
        good = [good] * (2 if size == -1 else size)
    found = faults(spec, good, row)
    assert found[0][0] == "instances[1].x"
    assert told in found[0][1]
    assert len(found) == 1


def test_rows_of_a_variable_shape_must_agree():
    assert faults(Spec("x", "INT64", (-1,)), [1, 2], [1]) == [
        ("instances[1].x", "shape [1] where the rows before have [2]")
    ]


def test_only_so_many_violations_are_listed():
    assert len(faults(Spec("x", "UINT8", ()), *[300] * 100)) == MAX_VIOLATIONS
    assert len(faults(Spec("x", "UINT8", (2,)), *[[1]] * 100)) == MAX_VIOLATIONS


def judged(spec: Spec, row: Any) -> tuple[bytes, tuple[int, ...]] | WrongValues:
    try:
        return encode(spec, [row], where)
    except WrongValues as error:
        return error


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5), st.lists, max_leaves=8)
)
def test_any_json_value_becomes_the_bytes_that_its_shape_needs_or_is_named(row):
    for spec in (Spec("x", "FP32", (2,)), Spec("x", "BYTES", (-1, 2)), Spec("x", "BF16", ()), Spec("x", "INT8", (1,))):
        outcome = judged(spec, row)
        if isinstance(outcome, WrongValues):
            assert [one.field for one in outcome.violations] == [where(0)]
            continue
        content, shape = outcome
        if spec.datatype == "BYTES":
            assert bytes_fault(content, math.prod(shape)) == ""
        else:
            assert len(content) == math.prod(shape) * ELEMENT_BYTES[spec.datatype]
