"""PredictRequest read without its tensors, and its tensors read by what they repeat."""

from __future__ import annotations

import pytest
from google.protobuf import duration_pb2
from google.protobuf.message import DecodeError
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.faces.unread import described, unread_message

IMAGE = tensor_pb2.Tensor(name="image", datatype="FP32", shape=[2, 64])
WORDS = tensor_pb2.Tensor(name="words", datatype="BYTES", shape=[2])
WHOLE = predict_pb2.PredictRequest(
    model="digits", version="v1", request_id="r-1", inputs=[IMAGE, WORDS], outputs=["scores"],
    raw_input_contents=[b"one", b""], user_id="ann", entity_id="e-1", attributes={"country": "DE"},
    max_age=duration_pb2.Duration(seconds=1, nanos=5), explain=True,
)  # fmt: skip


def test_everything_but_the_tensors_is_read_as_it_was_written():
    unread = unread_message().FromString(WHOLE.SerializeToString())
    assert {field.name for field, _ in unread.ListFields()} == {field.name for field, _ in WHOLE.ListFields()}
    assert {field.name for field in unread.DESCRIPTOR.fields} == {field.name for field in WHOLE.DESCRIPTOR.fields}
    for field, value in WHOLE.ListFields():
        if field.name != "inputs":
            assert getattr(unread, field.name) == value
    assert unread.inputs == [IMAGE.SerializeToString(), WORDS.SerializeToString()]


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
