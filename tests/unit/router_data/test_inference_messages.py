"""The gRPC codec of the Open Inference Protocol: typed and raw values are the same bytes, faults are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from headrace_router.data.protocols.oip import infer_message
from headrace_router.data.protocols.oip.contents import FIELDS, MAX_VALUES
from headrace_router.data.tables.contract import Contract, Spec, check
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.rows import each

_pb2: Any = service_pb2
Y = (Spec("y", "FP32", ()),)

DTYPES = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "<u1", "UINT16": "<u2",
    "UINT32": "<u4", "UINT64": "<u8", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


def message(*tensors: tuple[str, list[int], dict[str, Any]], raw: list[bytes] | None = None, **fields: Any) -> Any:
    """Return a request of tensors given as (datatype, shape, contents by field)."""
    made = _pb2.ModelInferRequest(model_name="m", raw_input_contents=raw or [], **fields)
    for datatype, shape, contents in tensors:
        tensor = made.inputs.add(name="x", datatype=datatype, shape=shape)
        for field, values in contents.items():
            getattr(tensor.contents, field).extend(values)
    return made


def read(made: Any, contract: Contract | None = None) -> Any:
    """Return the tensors; of a contract that allows what the request has, unless told."""
    allowed = Contract(tuple(Spec("x", one.datatype, (-1,) * (len(one.shape) - 1)) for one in made.inputs), Y)
    return infer_message.parse(made.SerializeToString()).read(contract or allowed, 1024)


def refused(made: Any) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        read(made)
    return caught.value


def values_of(datatype: str) -> st.SearchStrategy[list[Any]]:
    dtype = np.dtype(DTYPES[datatype])
    if dtype.kind == "b":
        one: st.SearchStrategy[Any] = st.booleans()
    elif dtype.kind == "f":
        one = st.floats(width=dtype.itemsize * 8, allow_nan=False)  # type: ignore[arg-type]
    else:
        one = st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return st.lists(one, max_size=20)


@given(st.data(), st.sampled_from(sorted(DTYPES)))
def test_typed_values_are_the_bytes_that_numpy_sends_raw(data: st.DataObject, datatype: str):
    values = data.draw(values_of(datatype))
    tensors = read(message((datatype, [len(values), 1], {FIELDS[datatype][0]: values})))
    assert tensors.described == (("x", datatype, len(values), 1),)
    raw = np.array(values, DTYPES[datatype]).tobytes()
    assert list(tensors.contents) == [raw]
    assert list(read(message((datatype, [len(values), 1], {}), raw=[raw])).contents) == [raw]


@given(st.lists(st.binary(max_size=10), max_size=8))
def test_typed_bytes_get_their_lengths(values: list[bytes]):
    tensors = read(message(("BYTES", [len(values)], {"bytes_contents": values})))
    assert list(tensors.contents) == [encoded_texts(values)]


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_halves_are_given_raw(datatype: str):
    assert list(read(message((datatype, [1, 2], {}), raw=[b"1234"])).contents) == [b"1234"]


def test_contents_that_are_there_and_empty_stand_beside_raw_values():
    """As the converter of MLServer 1.7.1 makes them."""
    made = message(("FP32", [1, 1], {}), raw=[b"1234"])
    made.inputs[0].contents.SetInParent()
    assert list(read(made).contents) == [b"1234"]


def typed(datatype: str, shape: list[int], *, raw: list[bytes] | None = None, **contents: list[Any]) -> Any:
    return message((datatype, shape, contents), raw=raw)


@each(
    "made,field,told",
    [
        (typed("FP32", [1, 2], int_contents=[1, 2]), "inputs[0].contents", "fp32_contents"),
        (typed("FP32", [1, 1], fp32_contents=[1], int_contents=[1]), "inputs[0].contents", "int_contents"),
        (typed("FP32", [1, 2], fp32_contents=[1]), "inputs[0].contents", "needs 2"),
        (typed("FP32", [2, 2]), "inputs[0].contents", "needs 4"),
        (typed("INT8", [1, 2], int_contents=[1, 128]), "inputs[0].contents.int_contents[1]", "128"),
        (typed("UINT8", [1, 1], uint_contents=[256]), "inputs[0].contents.uint_contents[0]", "256"),
        (typed("FP16", [1, 1], fp32_contents=[1]), "inputs[0].contents", "raw_input_contents"),
        (typed("BF16", [1, 1]), "inputs[0].contents", "raw_input_contents"),
        (typed("FP32", [1, 1], fp32_contents=[1], raw=[b"1234"]), "inputs[0].contents", "raw for all"),
    ],
)
def test_contents_that_do_not_fit_are_named(made: Any, field: str, told: str):
    error = refused(made)
    assert error.violations[0].field == field
    assert told in error.public_message


def test_values_that_the_contract_does_not_allow_are_not_looked_at():
    floats = Contract((Spec("x", "FP32", (4,)),), Y)
    for datatype, shape in (("INT8", [1, 4]), ("FP32", [1, 5]), ("FP32", [4]), ("FP32", [9] * 100_000)):
        field, _ = FIELDS[datatype]
        tensors = read(message((datatype, shape, {field: [1, 2, 3]})), floats)
        assert (tensors.described[0][1], list(tensors.contents)) == (datatype, [b""])
        with pytest.raises(InvalidArgument) as caught:
            check(floats, tensors.described, 10)
        assert len(caught.value.public_message) < 300


def test_so_many_values_that_the_loop_would_stand_still_are_wanted_raw():
    error = refused(message(("INT8", [1, MAX_VALUES + 1], {"int_contents": bytes(MAX_VALUES + 1)})))
    assert error.violations[0].field == "inputs[0].contents"
    assert "raw_input_contents" in error.public_message


def test_a_shape_that_no_contract_has_is_left_to_the_contract():
    assert read(message(("FP32", [-1, 4], {"fp32_contents": [1]}))).described == (("x", "FP32", -1, 4),)
    assert read(message(("FP33", [1], {}))).described == (("x", "FP33", 1),)


def test_bytes_that_are_no_message_are_refused():
    with pytest.raises(InvalidArgument, match="not a valid message") as caught:
        infer_message.parse(b"\xff\xff")
    assert caught.value.reason == "MALFORMED_MESSAGE"


def test_the_request_has_what_the_message_says():
    made = message(("FP32", [1, 1], {}), raw=[b"1234"], model_version="v2", id="r-1")
    made.outputs.add(name="y")
    made.parameters["headrace_user_id"].string_param = "ada"
    made.parameters["headrace_attribute_country"].string_param = "DE"
    made.parameters["priority"].uint64_param = 3
    request = infer_message.parse(made.SerializeToString())
    assert (request.model, request.version, request.request_id) == ("m", "v2", "r-1")
    assert (request.user_id, request.attributes, request.priority) == ("ada", {"country": "DE"}, 3)
    assert request.outputs == ("y",)


def test_a_parameter_without_a_value_is_named():
    made = message(("FP32", [1, 1], {}), raw=[b"1234"])
    made.parameters["headrace_user_id"].SetInParent()
    assert refused(made).violations[0].field == "parameters.headrace_user_id"


@pytest.mark.parametrize(
    ("where", "name", "reason"),
    [
        ("inputs", "shared_memory_region", "SHARED_MEMORY_NOT_SERVED"),
        ("outputs", "shared_memory_byte_size", "SHARED_MEMORY_NOT_SERVED"),
        ("outputs", "classification", "CLASSIFICATION_NOT_SERVED"),
    ],
)
def test_parameters_of_tensors_that_would_change_their_values_are_refused(where: str, name: str, reason: str):
    made = message(("FP32", [1, 1], {}), raw=[b"1234"])
    made.outputs.add(name="y")
    getattr(made, where)[0].parameters[name].int64_param = 1
    error = refused(made)
    assert error.reason == reason
    assert error.violations[0].field == f"{where}[0].parameters.{name}"
