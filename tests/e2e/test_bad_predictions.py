"""Predictions by gRPC that cannot be answered: each is refused by its field, and the next one is answered."""

import struct
from typing import Any

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2

from tests.kit.front_door.edge import PREDICT
from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.rows import each
from tests.kit.stack.served_models import (
    IDLE,
    LINEAR,
    NOT_ROUTED,
    PAIR,
    ROW,
    TABLE,
    TOKENS,
    WORDS,
    Served,
    add,
    assert_refused,
    request,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("unharmed")

MIB = 1024 * 1024
VIOLATED = ("INVALID_ARGUMENT", "CONTRACT_VIOLATED")
ONE = ROW[:, :3]


def raw(model: str, *inputs: tuple[str, str, list[int], bytes], **fields: Any) -> predict_pb2.PredictRequest:
    """A request whose parts need not fit together."""
    message = predict_pb2.PredictRequest(model=model, **fields)
    for name, datatype, shape, content in inputs:
        add(message, name, datatype, shape, content)
    return message


FORBIDDEN = {
    "another datatype": (request(LINEAR, features=ROW.astype(np.float64)), "inputs[0].datatype"),
    "no datatype at all": (raw(LINEAR, ("features", "FP23", [1, 4], b"")), "inputs[0].datatype"),
    "a row too short": (request(LINEAR, features=ROW[:, :3]), "inputs[0].shape"),
    "no dimension of rows": (request(LINEAR, features=ROW[0]), "inputs[0].shape"),
    "a dimension too many": (request(LINEAR, features=ROW[None]), "inputs[0].shape"),
    "no rows": (request(LINEAR, features=ROW[:0]), "inputs[0].shape"),
    "less than no rows": (raw(LINEAR, ("features", "FP32", [-1, 4], b"")), "inputs[0].shape"),
    "a negative dimension": (raw(TOKENS, ("tokens", "INT64", [1, -8], b"")), "inputs[0].shape"),
    "an endless shape": (raw(LINEAR, ("features", "FP32", [2**62] * 2, b"")), "inputs[0].shape"),
    "too many rows": (request(LINEAR, features=np.tile(ROW, (1025, 1))), "inputs[0].shape"),
    "rows that differ": (request(PAIR, a=ONE, b=np.tile(ONE, (2, 1))), "inputs[1].shape"),
    "another name": (request(LINEAR, feature=ROW), "inputs[0].name"),
    "an input too many": (request(LINEAR, features=ROW, more=ROW), "inputs[1].name"),
    "an input given twice": (raw(LINEAR, *[("features", "FP32", [1, 4], ROW.tobytes())] * 2), "inputs[0].name"),
    "an input is missing": (request(PAIR, a=ONE), "inputs"),
    "no inputs": (predict_pb2.PredictRequest(model=LINEAR), "inputs"),
    "too few bytes": (raw(LINEAR, ("features", "FP32", [1, 4], b"123")), "raw_input_contents[0]"),
    "too many bytes": (raw(LINEAR, ("features", "FP32", [1, 4], b"1" * 17)), "raw_input_contents[0]"),
    "too few words": (raw(WORDS, ("x", "BYTES", [1, 2], encoded_texts([b"a"]))), "raw_input_contents[0]"),
    "an endless word": (
        raw(WORDS, ("x", "BYTES", [1, 2], encoded_texts([b"a"]) + b"\xff" * 4)),
        "raw_input_contents[0]",
    ),
    "an unknown output": (request(LINEAR, outputs=["scores", "score"], features=ROW), "outputs[1]"),
}


@each("message,field", FORBIDDEN.values())
def test_what_the_contract_forbids_is_refused_by_its_field(
    served: Served, message: predict_pb2.PredictRequest, field: str
):
    assert_refused(served.refused(PREDICT, message), *VIOLATED, field)


def test_contents_that_are_not_one_for_each_input_are_refused(served: Served):
    message = request(LINEAR, features=ROW)
    message.raw_input_contents.append(b"")
    assert_refused(served.refused(PREDICT, message), *VIOLATED, "raw_input_contents")
    del message.raw_input_contents[:]
    assert_refused(served.refused(PREDICT, message), *VIOLATED, "raw_input_contents")


def test_everything_that_is_wrong_is_named_at_once(served: Served):
    wrong = request(PAIR, outputs=["nothing"], a=ONE.astype(np.float64), c=ONE)
    assert served.refused(PREDICT, wrong).fields == ("inputs[0].datatype", "inputs[1].name", "inputs")


@pytest.mark.parametrize("row", [0, 40])
def test_nan_is_refused_where_the_contract_forbids_it(served: Served, row: int):
    rows = np.tile(ROW, (41, 1))  # more than one execution
    rows[row, 2] = np.nan
    refusal = served.refused(PREDICT, request(LINEAR, features=rows))
    assert_refused(refusal, "INVALID_ARGUMENT", "NAN_NOT_ALLOWED", "inputs[0]", named="'features'")


def test_values_that_the_model_itself_refuses_are_the_callers_fault(served: Served):
    refusal = served.refused(PREDICT, request(TABLE, index=np.array([99])))
    assert_refused(refusal, "INVALID_ARGUMENT", "MODEL_REJECTED_INPUT", named="values of this request")
    refusal = served.refused(PREDICT, raw(WORDS, ("x", "BYTES", [1, 2], encoded_texts([b"\xff\xfe", b"not UTF-8"]))))
    assert_refused(refusal, "INVALID_ARGUMENT", "MODEL_REJECTED_INPUT", named="values of this request")


NOT_SERVED = {
    "an unknown model": (request("served-none", features=ROW), "NOT_FOUND", "MODEL_NOT_FOUND", "served-none"),
    "what is no name": (request("No Name/..", features=ROW), "NOT_FOUND", "MODEL_NOT_FOUND", "No Name/.."),
    "no model": (request("", features=ROW), "INVALID_ARGUMENT", "MODEL_MISSING", "model"),
    "an unknown version": (request(LINEAR, version="v9", features=ROW), "NOT_FOUND", "VERSION_NOT_FOUND", "v9"),
    "a version that the route does not name": (
        request(LINEAR, version=NOT_ROUTED, features=ROW), "NOT_FOUND", "VERSION_NOT_FOUND", NOT_ROUTED,
    ),
    "nothing in production": (request(IDLE, features=ROW), "UNAVAILABLE", "MODEL_NOT_READY", IDLE),
}  # fmt: skip


@each("message,code,reason,named", NOT_SERVED.values())
def test_what_nothing_serves_is_named(
    served: Served, message: predict_pb2.PredictRequest, code: str, reason: str, named: str
):
    refusal = served.refused(PREDICT, message)
    assert_refused(refusal, code, reason, named=named)
    assert (refusal.retry_after_s is not None) == (code == "UNAVAILABLE")


@pytest.mark.parametrize("letter", ["x", "😀", "%", "\0"])
def test_a_name_without_end_is_cut_in_the_refusal_and_costs_nothing_of_it(served: Served, letter: str):
    endless = letter * 100_000
    assert_refused(
        served.refused(PREDICT, request(endless, features=ROW)), "NOT_FOUND", "MODEL_NOT_FOUND", named=letter * 50
    )
    named = raw(LINEAR, (endless, "FP32", [1, 4], ROW.tobytes()))
    assert_refused(served.refused(PREDICT, named), *VIOLATED, "inputs[0].name")
    version = request(LINEAR, version=endless, features=ROW)
    assert_refused(served.refused(PREDICT, version), "NOT_FOUND", "VERSION_NOT_FOUND", named=letter * 50)


def test_inputs_without_end_are_refused_by_their_number_and_others_with_the_first_of_them(served: Served):
    def unknown(count: int) -> predict_pb2.PredictRequest:
        return raw(LINEAR, *((f"input {number}", "FP32", [1, 4], b"") for number in range(count)))

    assert_refused(served.refused(PREDICT, unknown(5000)), *VIOLATED, "inputs", named="5000 tensors")
    refusal = served.refused(PREDICT, unknown(128))
    assert_refused(refusal, *VIOLATED, "inputs[0].name")
    assert refusal.fields[1] == "inputs[1].name"
    deep = raw(LINEAR, ("features", "FP32", [1] * 10_000, ROW.tobytes()))
    assert_refused(served.refused(PREDICT, deep), *VIOLATED, "inputs[0].shape")


def test_a_message_beyond_the_limit_is_refused_and_one_below_it_answered(served: Served):
    refusal = served.refused(PREDICT, raw(TOKENS, ("tokens", "INT64", [1, 2 * MIB], bytes(16 * MIB))))
    assert_refused(refusal, "RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE", named="larger")
    answered = served.predict(request(TOKENS, outputs=["lengths"], tokens=np.ones((1, 2 * MIB - 64), np.int64)))
    assert answered.raw_output_contents[0] == struct.pack("<q", 2 * MIB - 64)


def test_an_answer_beyond_the_limit_says_what_to_do(served: Served):
    refusal = served.refused(PREDICT, request(TOKENS, tokens=np.ones((1, 2 * MIB - 64), np.int64)))
    assert_refused(refusal, "RESOURCE_EXHAUSTED", "ANSWER_TOO_LARGE", named="fewer rows or outputs")
