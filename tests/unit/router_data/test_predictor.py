"""What the predictor decides by itself; tests/integration/router_data tests the way through transports and batchers."""

from __future__ import annotations

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_router.data.answer.refusals import blamed_field, error_of
from headrace_router.data.request.request import Tensors, in_callers_words
from headrace_router.data.tables.contract import Contract, Spec, check
from headrace_servicekit.errors import Code, FieldViolation, InvalidArgument

CONTRACT = Contract(
    (Spec("a", "FP32", ()), Spec("b", "FP32", (), optional=True), Spec("c", "FP32", ())), (Spec("y", "FP32", ()),)
)
DESCRIBED = (("c", "FP32", 1), ("a", "FP32", 1))
LAYOUT = check(CONTRACT, DESCRIBED, 8)


@pytest.mark.parametrize(
    ("position", "fields", "expected"),
    [
        pytest.param(0, None, "inputs[1]", id="by place in the request"),
        pytest.param(2, None, "inputs[0]", id="behind one that is left out"),
        pytest.param(1, None, "inputs", id="the one that is left out"),
        pytest.param(9, None, "inputs", id="none of the contract"),
        pytest.param(0, ("instances.c", "instances.a"), "instances.a", id="by the caller's own name"),
    ],
)
def test_a_blamed_input_is_named_as_the_caller_names_it(position, fields, expected):
    error = InvalidArgument("NaN", violations=[FieldViolation(blamed_field(position), "has NaN")])
    told = in_callers_words(error, Tensors(DESCRIBED, (b"", b""), fields), LAYOUT)
    assert told.violations == (FieldViolation(expected, "has NaN"),)


def test_violations_of_the_contract_are_named_as_the_caller_names_inputs():
    error = InvalidArgument(
        "inputs[1].shape: wrong", reason="CONTRACT_VIOLATED", violations=[FieldViolation("inputs[1].shape", "wrong")]
    )
    told = in_callers_words(error, Tensors(DESCRIBED, (b"", b""), ("instances.c", "instances.a")), None)
    assert told.violations[0].field == "instances.a"
    assert told.public_message == "instances.a: wrong"


@pytest.mark.parametrize(
    ("response", "code", "retry_after_s", "message"),
    [
        pytest.param({"code": 8, "retry_after_us": 500_000}, Code.RESOURCE_EXHAUSTED, 0.5, "told", id="overload"),
        pytest.param({"code": 3, "blamed_input": 1}, Code.INVALID_ARGUMENT, None, "told", id="blamed"),
        pytest.param({"code": 13}, Code.INTERNAL, None, "the model failed on this request", id="internals stay inside"),
        pytest.param({"code": 99}, Code.UNKNOWN, None, "told", id="a code of the future"),
    ],
)
def test_errors_of_the_batcher_become_typed(response, code, retry_after_s, message):
    error = error_of(batcher_pb2.InferResponse(reason="WHY", message="told", **response))
    assert (error.code, error.reason, error.retry_after_s, error.public_message) == (
        code,
        "WHY",
        retry_after_s,
        message,
    )
