"""Requests of many rows, cut into parts."""

from __future__ import annotations

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace_router.data.protocols.parts import MAX_ROWS, parts_of
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each


def request(*tensors: tuple[str, list[int], bytes]) -> predict_pb2.PredictRequest:
    made = predict_pb2.PredictRequest(model="m", entity_id="e")
    for number, (datatype, shape, content) in enumerate(tensors):
        made.inputs.add(name=f"i{number}", datatype=datatype, shape=shape)
        made.raw_input_contents.append(content)
    return made


def texts(words: list[str]) -> bytes:
    return b"".join(len(one.encode()).to_bytes(4, "little") + one.encode() for one in words)


@given(st.integers(1, 40), st.integers(1, 9), st.data())
def test_the_parts_put_together_are_the_request(rows: int, most: int, data: st.DataObject):
    values = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    words = data.draw(st.lists(st.text(max_size=3), min_size=rows, max_size=rows))
    whole = request(("FP32", [rows, 3], values.tobytes()), ("BYTES", [rows, 1], texts(words)))
    found = [(first, predict_pb2.PredictRequest.FromString(data)) for first, data in parts_of(whole, most)]
    assert [first for first, _ in found] == list(range(0, rows, most))
    for at in range(2):
        assert b"".join(part.raw_input_contents[at] for _, part in found) == whole.raw_input_contents[at]
        assert sum(part.inputs[at].shape[0] for _, part in found) == rows
    assert all(1 <= part.inputs[0].shape[0] <= most and part.entity_id == "e" for _, part in found)


@each(
    "spoilt,told",
    [
        (request(("FP32", [9, 1], bytes(35))), "no 9 rows"),
        (request(("FP32", [9], bytes(36)), ("FP32", [8], bytes(32))), "different numbers of rows: 8, 9"),
        (request(("BYTES", [3, 1], texts(["a", "b"]))), "ends within a text"),
        (request(("BYTES", [3, 1], texts(["a", "b", "c", "d"]))), "after its last text"),
        (request(("BYTES", [3, 1 << 40], texts(["a"]))), "texts in a row"),
        (request(("BYTES", [3, -5], texts(["a"]))), "texts in a row"),
        (request(("BYTES", [3, *[2] * 20_000], texts(["a"]))), "20001 dimensions"),
        (request(("FP32", [3, *[2] * 20_000], bytes(9))), "20001 dimensions"),
        (request(("FP32", [1 << 60, 0], b"")), f"at most {MAX_ROWS}"),
        (predict_pb2.PredictRequest(inputs=[{"name": "x"}]), "0 items for 1 inputs"),
    ],
)
def test_what_cannot_be_cut_is_refused_and_says_why(spoilt: predict_pb2.PredictRequest, told: str):
    with pytest.raises(InvalidArgument, match=told):
        list(parts_of(spoilt, 2))
