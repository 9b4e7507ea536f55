"""Requests read without their tensors, and their tensors read by what they repeat."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import duration_pb2
from google.protobuf.message import DecodeError
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.protocols.oip import infer_message
from headrace_router.data.protocols.predict import described, lazy_message
from headrace_servicekit.errors import InvalidArgument
from tritonclient.grpc import service_pb2

_pb2: Any = service_pb2  # its classes are made at import

IMAGE = tensor_pb2.Tensor(name="image", datatype="FP32", shape=[2, 64])
WORDS = tensor_pb2.Tensor(name="words", datatype="BYTES", shape=[2])
WHOLE = predict_pb2.PredictRequest(
    model="digits", version="v1", request_id="r-1", inputs=[IMAGE, WORDS], outputs=["scores"],
    raw_input_contents=[b"one", b""], user_id="ann", entity_id="e-1", attributes={"country": "DE"},
    max_age=duration_pb2.Duration(seconds=1, nanos=5), explain=True,
)  # fmt: skip


NAMED, NUMBERED = _pb2.InferParameter(string_param="ann"), _pb2.InferParameter(int64_param=2)
INFER = _pb2.ModelInferRequest(
    model_name="digits", model_version="v1", id="r-1", raw_input_contents=[b"one", b""],
    parameters={"headrace_user_id": NAMED, "priority": NUMBERED},
    inputs=[
        {"name": "image", "datatype": "FP32", "shape": [2, 64]},
        {"name": "words", "datatype": "BYTES", "shape": [2], "parameters": {"own": NAMED}},
    ],
    outputs=[{"name": "scores", "parameters": {"classification": NUMBERED}}],
)  # fmt: skip


@pytest.mark.parametrize("whole", [WHOLE, INFER], ids=["Predict", "ModelInfer"])
def test_everything_but_the_tensors_is_read_as_it_was_written(whole: Any):
    unread = lazy_message(type(whole)).FromString(whole.SerializeToString())
    assert {field.name for field, _ in unread.ListFields()} == {field.name for field, _ in whole.ListFields()}
    assert {field.name for field in unread.DESCRIPTOR.fields} == {field.name for field in whole.DESCRIPTOR.fields}
    for field, value in whole.ListFields():
        if field.name != "inputs":
            assert getattr(unread, field.name) == value
    assert unread.inputs == [one.SerializeToString() for one in whole.inputs]


def test_tensors_say_what_they_said():
    encoded = (IMAGE.SerializeToString(), WORDS.SerializeToString())
    assert described(encoded) == (("image", "FP32", 2, 64), ("words", "BYTES", 2))
    assert described(encoded) is described(encoded)
    assert described(()) == ()


def test_long_descriptions_are_read_and_not_kept():
    long = tensor_pb2.Tensor(name="x" * 2000, datatype="FP32", shape=[1])
    encoded = (long.SerializeToString(),)
    assert described(encoded) == ((long.name, "FP32", 1),)
    assert described(encoded) is not described(encoded)


@pytest.mark.parametrize("broken", [b"\xff", b"\x0a\x05ab", b"\x0a\x01\xff"], ids=["no field", "cut", "no UTF-8"])
def test_what_is_no_tensor_is_no_message(broken: bytes):
    with pytest.raises(DecodeError):
        described((IMAGE.SerializeToString(), broken))


def test_tensors_beside_raw_values_are_refused_however_often_they_come():
    typed = _pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"1234"])
    typed.inputs.add(name="x", datatype="FP32", shape=[1]).contents.fp32_contents.append(1.0)
    shared = _pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"1234"])
    shared.inputs.add(name="x", datatype="FP32", shape=[1]).parameters["shared_memory_region"].string_param = "r"
    for _ in range(2):
        with pytest.raises(InvalidArgument, match=r"inputs\[0\].contents: must be left out"):
            infer_message.parse(typed.SerializeToString())
        with pytest.raises(InvalidArgument, match=r"inputs\[0\].parameters.shared_memory_region"):
            infer_message.parse(shared.SerializeToString())


@pytest.mark.parametrize("raw", [[b"1234"], []], ids=["raw", "typed"])
def test_a_broken_tensor_is_a_broken_message(raw: list[bytes]):
    whole = _pb2.ModelInferRequest(model_name="m", raw_input_contents=raw).SerializeToString()
    with pytest.raises(InvalidArgument, match="not a valid message"):
        infer_message.parse(whole + b"\x2a\x02\x0a\x05")
