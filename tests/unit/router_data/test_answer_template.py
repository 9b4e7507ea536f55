"""Where an answer differs when it is given again, whatever its protocol."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
from headrace.router.v1 import predict_pb2
from headrace_router.data.transports.envoy.answer_template import Marks, marks_for, template_of, varint
from headrace_router.data.transports.envoy.bridged_answer import packed, packed_headers
from hypothesis import given
from hypothesis import strategies as st

MARKS = Marks("m" * 36, str(uuid.uuid4()), 1_513_889_431)
BEGIN = packed_headers(((b":status", b"200"), (b"x-request-id", b"r" * 36)))


def rendered(**fields: Any) -> bytes:
    return predict_pb2.PredictResponse(
        model="digits", request_id=MARKS.request_id, prediction_id=MARKS.prediction_id, age_ms=MARKS.age_ms, **fields
    ).SerializeToString()


@given(age=st.integers(0, 2**32 - 1))
def test_a_filled_message_says_what_was_filled_in(age: int):
    template = template_of(packed(1, (BEGIN, rendered(version="v1"), b"")), MARKS)
    assert template.whole
    request_id, prediction_id = str(uuid.uuid4()), str(uuid.uuid4())
    whole = template.filled(request_id, prediction_id, age)
    assert len(whole) == len(template.answer)
    assert request_id.encode() in whole[: 24 + len(BEGIN)]
    answer = predict_pb2.PredictResponse.FromString(whole[24 + len(BEGIN) :])
    assert (answer.request_id, answer.prediction_id, answer.age_ms) == (request_id, prediction_id, age)
    assert (answer.model, answer.version) == ("digits", "v1")


@given(age=st.integers(0, 2**32 - 1))
def test_a_filled_document_says_what_was_filled_in(age: int):
    body = {"predictions": [[0.1513889431, 1513889431]], "id": MARKS.request_id, "prediction_id": MARKS.prediction_id}
    text = orjson.dumps({**body, "headrace_age_ms": MARKS.age_ms})
    template = template_of(packed(1, (BEGIN, text, b"")), MARKS)
    assert template.whole
    request_id, prediction_id = str(uuid.uuid4()), str(uuid.uuid4())
    filled = orjson.loads(template.filled(request_id, prediction_id, age)[24 + len(BEGIN) :])
    assert filled == {**body, "id": request_id, "prediction_id": prediction_id, "headrace_age_ms": age}


def test_marks_do_not_stand_in_the_outputs():
    outputs = b"".join(varint(age) for age in range(10**9, 10**9 + 1000))
    marks = marks_for(outputs, "r" * 12, MARKS.prediction_id)
    assert varint(marks.age_ms) not in outputs
    assert len(marks.request_id) == 12


def test_an_answer_without_its_marks_or_with_two_of_one_is_not_whole():
    for body in (b"", MARKS.prediction_id.encode(), rendered() + varint(MARKS.age_ms)):
        template = template_of(packed(1, (BEGIN, body, b"")), MARKS)
        assert not template.whole
        assert varint(MARKS.age_ms) not in template.filled("r" * 36, MARKS.prediction_id, 0)


def test_other_headers_that_look_alike_stay():
    begin = packed_headers(((b"x-request-idx", b"a" * 36), (b"x", b"x-request-id"), (b"x-request-id", b"b" * 36)))
    template = template_of(packed(1, (begin, rendered(), b"")), MARKS)
    whole = template.filled("c" * 36, MARKS.prediction_id, 0)
    assert whole[24 : 24 + len(begin)] == begin.replace(b"b" * 36, b"c" * 36)
