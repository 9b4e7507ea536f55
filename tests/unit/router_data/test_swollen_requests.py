"""Requests with thousands of what others have few of: they are refused before anybody looks at each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from headrace.router.v1 import predict_pb2
from headrace_router.data.protocols import natural_json, predict, predict_json
from headrace_router.data.protocols.oip import infer_json, infer_message
from headrace_router.data.request.request import MAX_ATTRIBUTES, Tensors
from headrace_router.data.tables.contract import MAX_TENSORS, MAX_VIOLATIONS, Contract, Spec
from headrace_servicekit.errors import InvalidArgument
from tritonclient.grpc import service_pb2

_pb2: Any = service_pb2  # its classes are made at import

MANY = 5000
MAX_ROWS = 8
Y = (Spec("y", "FP32", ()),)
ONE = Contract((Spec("x", "FP32", ()),), Y)
TWO = Contract((Spec("a", "FP32", ()), Spec("b", "FP32", ())), Y)
NAMES = {f"n{number}": 0.5 for number in range(MANY)}
TEXTS = dict.fromkeys(NAMES, "v")


def natural(contract: Contract = ONE, **body: Any) -> Tensors:
    return natural_json.parse("m", orjson.dumps(body)).read(contract, MAX_ROWS)


def specification(contract: Contract = ONE, **body: Any) -> Tensors:
    return predict_json.parse(orjson.dumps({"model_name": "m", **body}))[0].read(contract, MAX_ROWS)


def inference(**body: Any) -> Tensors:
    return infer_json.parse("m", "", orjson.dumps(body), None)[0].read(ONE, MAX_ROWS)


def message(**fields: Any) -> Tensors:
    return predict.parse(predict_pb2.PredictRequest(model="m", **fields).SerializeToString()).read(ONE, MAX_ROWS)


def infer(**fields: Any) -> Tensors:
    return infer_message.parse(_pb2.ModelInferRequest(model_name="m", **fields).SerializeToString()).read(ONE, MAX_ROWS)


def refusal(read: Callable[[], object]) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        read()
    return caught.value


X = {"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}


@pytest.mark.parametrize(
    ("read", "field"),
    [
        pytest.param(lambda: message(inputs=[{}] * MANY), "inputs", id="Predict"),
        pytest.param(lambda: message(outputs=["y"] * MANY), "outputs", id="outputs of Predict"),
        pytest.param(lambda: infer(inputs=[{}] * MANY), "inputs", id="ModelInfer"),
        pytest.param(lambda: infer(inputs=[{}] * MANY, raw_input_contents=[b""]), "inputs", id="ModelInfer, raw"),
        pytest.param(lambda: infer(outputs=[{"name": "y"}] * MANY), "outputs", id="outputs of ModelInfer"),
        pytest.param(lambda: inference(inputs=[X] * MANY), "inputs", id="infer by REST"),
        pytest.param(lambda: inference(inputs=[X], outputs=[{"name": "y"}] * MANY), "outputs", id="outputs by REST"),
    ],
)
def test_more_tensors_than_any_version_has_are_not_read(read: Callable[[], object], field: str):
    error = refusal(read)
    assert [one.field for one in error.violations] == [field]
    assert error.violations[0].description.startswith(f"{MANY} tensors are more")


@pytest.mark.parametrize(
    ("read", "field"),
    [
        pytest.param(lambda: message(attributes=TEXTS), "attributes", id="Predict"),
        pytest.param(lambda: natural(instances=[1], attributes=TEXTS), "attributes", id="natural"),
        pytest.param(lambda: specification(inputs={"x": 1}, metadata=TEXTS), "metadata", id="specification"),
        pytest.param(lambda: inference(inputs=[X], parameters=TEXTS), "parameters", id="infer by REST"),
        pytest.param(
            lambda: infer(parameters={name: _pb2.InferParameter(string_param="v") for name in TEXTS}),
            "parameters",
            id="ModelInfer",
        ),
    ],
)
def test_more_attributes_than_are_taken_are_not_read(read: Callable[[], object], field: str):
    (violation,) = refusal(read).violations
    assert (violation.field, violation.description) == (
        field,
        f"has {MANY} members; at most {MAX_ATTRIBUTES} are taken",
    )


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda: natural_json.parse("m", orjson.dumps(NAMES)), id="natural"),
        pytest.param(lambda: natural(TWO, instances=[{**NAMES, "a": 1, "b": 1}]), id="a row"),
        pytest.param(lambda: specification(inputs=NAMES), id="specification"),
        pytest.param(lambda: inference(**NAMES), id="infer by REST"),
    ],
)
def test_of_unknown_names_only_the_first_are_told(read: Callable[[], object]):
    assert len(refusal(read).violations) == MAX_VIOLATIONS


@pytest.mark.parametrize(
    ("read", "field"),
    [
        # Its last row is none: nobody has come so far.
        pytest.param(lambda: natural(instances=[*[0.5] * MAX_ROWS, "none"]), "instances.x", id="natural"),
        pytest.param(lambda: specification(inputs={"x": [*[0.5] * MAX_ROWS, "none"]}), "inputs.x", id="specification"),
    ],
)
def test_more_rows_than_are_taken_are_not_written_as_bytes(read: Callable[[], object], field: str):
    (violation,) = refusal(read).violations
    assert violation.field == field
    assert violation.description.startswith(f"input 'x' has {MAX_ROWS + 1} rows; at most {MAX_ROWS} are taken")
    assert "predictStream" in violation.description


def test_as_many_as_may_be_are_read():
    assert len(message(inputs=[{"name": "x"}] * MAX_TENSORS).described) == MAX_TENSORS
    attributes = {f"n{number}": "v" for number in range(MAX_ATTRIBUTES)}
    assert natural(instances=[0.5] * MAX_ROWS, attributes=attributes).described == (("x", "FP32", MAX_ROWS),)
