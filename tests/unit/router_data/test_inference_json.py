"""The REST codec of the Open Inference Protocol: JSON and what is behind it, and what is said of what does not fit."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from headrace_router.data.protocols.oip import infer_json
from headrace_router.data.request.request import Tensors, in_callers_words
from headrace_router.data.tables.contract import Contract, Spec, check_contents
from headrace_router.data.tables.served import ServedVersion
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

X, WORDS = Spec("x", "FP32", (2,)), Spec("words", "BYTES", (1,))
ONE = Contract((X,), (Spec("y", "FP32", ()),))
SERVED = ServedVersion("m", "v1", "digest", "hash", Contract((X, WORDS._replace(optional=True)), ONE.outputs))
ROW = np.array([1, 2], np.float32).tobytes()


def x(**fields: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [1, 2], **fields}


def body(*inputs: Any, **fields: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **fields}).encode()


def behind(content: bytes, *inputs: Any, **fields: Any) -> tuple[bytes, str]:
    """Return a body with bytes behind its JSON, and the header that says where they begin."""
    text = body(*inputs, **fields)
    return text + content, str(len(text))


def sized(size: Any, **fields: Any) -> dict[str, Any]:
    return x(parameters={"binary_data_size": size}, **fields)


def checked(content: bytes, length: str | None = None, contract: Contract | None = None) -> Tensors:
    """Return the tensors of a body that keeps the contract; raises InvalidArgument in the caller's words."""
    request, _ = infer_json.parse("m", "", content, length)
    tensors = request.read(contract or SERVED.contract, 100)
    served = SERVED if contract is None else ServedVersion("m", "v1", "d", "h", contract)
    layout = None
    try:
        layout = served.layout(tensors.described, 100)
        check_contents(layout, tensors.described, tensors.contents)
    except InvalidArgument as error:
        raise in_callers_words(error, tensors, layout) from None
    return tensors


@pytest.mark.parametrize("data", [[1, 2], [[1, 2]], [1.0, 2.0]])
def test_values_are_flat_or_nested_as_the_shape_says(data: Any):
    assert checked(body(x(data=data))).contents == [ROW]


def test_values_behind_the_json_are_the_bytes_themselves():
    assert checked(*behind(ROW, sized(8))).contents == [ROW]


def test_some_values_may_be_in_the_json_and_others_behind_it():
    words = {"name": "words", "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": 6}}
    tensors = checked(*behind(b"\2\0\0\0hi", x(data=[1, 2]), words))
    assert list(tensors.contents) == [ROW, b"\2\0\0\0hi"]


def test_a_body_without_json_is_the_only_input_with_as_many_rows_as_it_has():
    tensors = checked(ROW * 3, "0", ONE)
    assert tensors.described == (("x", "FP32", 3, 2),)
    text = checked(b"hi", "0", Contract((WORDS,), ONE.outputs))
    assert list(text.contents) == [b"\2\0\0\0hi"]


def test_the_request_has_what_the_body_says():
    outputs = [{"name": "y", "parameters": {"binary_data": True}}, {"name": "z"}]
    parameters = {"headrace_user_id": "ada", "priority": 3, "timeout": 1000, "headrace_attribute_country": "DE"}
    request, _ = infer_json.parse("m", "v2", body(x(data=[1, 2]), id="r", outputs=outputs, parameters=parameters), None)
    assert (request.model, request.version, request.request_id, request.outputs) == ("m", "v2", "r", ("y", "z"))
    assert (request.user_id, request.priority, request.timeout_s) == ("ada", 3, 0.001)
    assert request.attributes == {"country": "DE"}


@each("content,field,told", [
        pytest.param((b"{", None), "body", "not JSON", id="no JSON"),
        pytest.param((b'{"inputs": [\xff]}', None), "body", "not JSON", id="no UTF-8"),
        pytest.param((b'{"inputs": [{"data": [NaN]}]}', None), "body", "not JSON", id="NaN"),
        pytest.param((b'{"inputs": [{"data": [Infinity]}]}', None), "body", "not JSON", id="Infinity"),
        pytest.param((b"[" * 3000, None), "body", "not JSON", id="deep"),
        pytest.param((b"[]", None), "body", "object", id="no object"),
        pytest.param((body(5), None), "inputs", "list of objects", id="no inputs"),
        pytest.param((body(x(data=[1, 2]), output=[]), None), "output", "unknown field", id="unknown field"),
        pytest.param((body(x(dada=[1, 2])), None), "inputs[0].dada", "unknown field", id="unknown tensor field"),
        pytest.param((body(x(data=[1, 2]), id=7), None), "id", "a string", id="id"),
        pytest.param((body(x(data=[1, 2]), parameters=[]), None), "parameters", "an object", id="parameters"),
        pytest.param((body(x(data=[1, 2]), outputs=["y"]), None), "outputs", "list of objects", id="outputs"),
        pytest.param((body(x(data=[1, 2]), outputs=[{}]), None), "outputs[0].name", "a string", id="output"),
        pytest.param(
            (body(x(data=[1, 2]), outputs=[{"name": "y", "parameters": {"binary_data": 1}}]), None),
            "outputs[0].parameters.binary_data", "true or false", id="binary",
        ),
        pytest.param((body(x()), None), "inputs[0].data", "are needed", id="no values"),
        pytest.param((body(x(data=3)), None), "inputs[0].data", "a list", id="scalar"),
        pytest.param((body(x(data=[1])), None), "inputs[0].data", "needs 2", id="too few"),
        pytest.param((body(x(data=[[1], [2]])), None), "inputs[0].data", "says 1, at depth 1", id="other nesting"),
        pytest.param((body(x(data=[[[1, 2]]])), None), "inputs[0].data", "says 2, at depth 2", id="too deep"),
        pytest.param((body(x(data=[1, "a"])), None), "inputs[0].data[1]", "the string 'a'", id="string"),
        pytest.param((body(x(data=[1, 1e39])), None), "inputs[0].data[1]", "not within FP32", id="overflow"),
        pytest.param((body(x(data=["NaN", 1])), None), "inputs[0].data[0]", "allows no NaN", id="NaN as text"),
        pytest.param((body(x(data=[1, 2], shape=[1, -2])), None), "inputs[0].shape", "[1, -2]", id="negative"),
        pytest.param((body(x(data=[1, 2], shape=[-1, 2])), None), "inputs[0].shape", "-1 rows", id="negative rows"),
        pytest.param((body(x(data=[1, 2], shape=[1, 2.5])), None), "inputs[0].shape", "not a size", id="fraction"),
        pytest.param((body(x(data=[1, 2], shape=[2**70])), None), "inputs[0].shape", "not a size", id="huge"),
        pytest.param((body(x(data=[1, 2], shape=[True, 2])), None), "inputs[0].shape", "not a size", id="flag"),
        pytest.param((body(x(data=[], shape=[2**40, 2**40])), None), "inputs[0].shape", "1099511627776", id="much"),
        pytest.param((body(x(data=[1, 2], datatype="FP33")), None), "inputs[0].datatype", "FP33", id="datatype"),
        pytest.param((body(x(data=[1.5, 2], datatype="INT64")), None), "inputs[0].datatype", "not FP32", id="other"),
        pytest.param((body(x(data=[1, 2], datatype=5)), None), "inputs[0].datatype", "a string", id="no datatype"),
        pytest.param((body(x(data=[1, 2], name="")), None), "inputs[0].name", "a string", id="no name"),
        pytest.param((body(x(data=[1, 2], name="z")), None), "inputs[0].name", "unknown input", id="unknown input"),
        pytest.param((body(), None), "inputs", "'x' is missing", id="no inputs at all"),
        pytest.param(behind(ROW, sized(7)), "body", "1 bytes are behind", id="bytes left"),
        pytest.param(behind(ROW[:4], sized(8)), "inputs[0].parameters.binary_data_size", "4 are left", id="cut"),
        pytest.param(behind(ROW[:4], sized(4)), "inputs[0].parameters.binary_data_size", "4 bytes where", id="short"),
        pytest.param(behind(ROW, sized(-8)), "inputs[0].parameters.binary_data_size", "-8", id="negative size"),
        pytest.param(behind(ROW, sized("8")), "inputs[0].parameters.binary_data_size", "'8'", id="size as text"),
        pytest.param(behind(ROW, sized(2**63)), "inputs[0].parameters.binary_data_size", "left", id="huge size"),
        pytest.param(behind(ROW, sized(8, data=[1, 2])), "inputs[0].data", "left out", id="both"),
        pytest.param((body(x(data=[1, 2])), "9999"), infer_json.LENGTH_HEADER, "9999", id="long header"),
        pytest.param((body(x(data=[1, 2])), "-1"), infer_json.LENGTH_HEADER, "-1", id="negative header"),
        pytest.param((body(x(data=[1, 2])), "9" * 5000), infer_json.LENGTH_HEADER, "999", id="endless header"),
        pytest.param((body(x(data=[1, 2])), "²"), infer_json.LENGTH_HEADER, "²", id="no digits"),
        pytest.param((body(x(data=[1, 2])), "10"), "body", "not JSON", id="header within the JSON"),
        pytest.param((ROW, "0"), infer_json.LENGTH_HEADER, "one input", id="bare body for two inputs"),
    ])  # fmt: skip
def test_what_does_not_fit_is_named(content: tuple[bytes, str | None], field: str, told: str):
    with pytest.raises(InvalidArgument) as caught:
        checked(*content)
    assert any(one.field == field and told in one.description for one in caught.value.violations), (
        caught.value.violations
    )


def test_bytes_with_a_wrong_length_inside_are_named():
    words = {"name": "words", "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": 6}}
    with pytest.raises(InvalidArgument) as caught:
        checked(*behind(b"\xff\0\0\0hi", x(data=[1, 2]), words))
    assert caught.value.violations[0].field == "inputs[1].parameters.binary_data_size"


@pytest.mark.parametrize(
    ("contract", "content"), [(ONE, ROW[:5]), (ONE, b""), (Contract((X._replace(shape=(-1,)),), ONE.outputs), ROW)]
)
def test_a_bare_body_that_is_no_whole_rows_is_refused(contract: Contract, content: bytes):
    with pytest.raises(InvalidArgument):
        checked(content, "0", contract)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("x") | JSON,
        "datatype": st.sampled_from(["FP32", "BYTES", "INT8"]) | JSON,
        "shape": st.lists(st.integers(-2, 3), max_size=3) | JSON,
        "data": JSON,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 9) | JSON}) | JSON,
    },
)


@given(
    document=st.fixed_dictionaries(
        {}, optional={"inputs": st.lists(FIELDS, max_size=3) | JSON, "outputs": JSON, "id": JSON, "parameters": JSON}
    ),
    rest=st.binary(max_size=20),
    with_header=st.booleans(),
)
def test_whatever_comes_is_read_or_refused(document: Mapping[str, Any], rest: bytes, with_header: bool):
    text = json.dumps(document).encode()
    with contextlib.suppress(InvalidArgument):
        assert checked(text + rest, str(len(text)) if with_header else None).described


@given(st.binary(max_size=60), st.none() | st.text(max_size=6))
def test_any_bytes_are_read_or_refused(content: bytes, length: str | None):
    with contextlib.suppress(InvalidArgument):
        assert checked(content, length).described
