"""Batches cut into chunks: every row once, in order, from wherever an upload goes on; values as the contract says."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_client.chunks import Answers, Chunks, Opened, cut
from headrace_client.errors import InvalidArgument, PreconditionFailed
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

Spec = tensor_pb2.TensorSpec


def opened(*outputs: Spec, rows: int = 3) -> Opened:
    return Opened("models/m/versions/v1/publishes/1", 0, outputs, rows, 1 << 20)


def batches(sizes: list[int]) -> Iterator[Answers]:
    at = 0
    for size in sizes:
        yield Answers([str(row) for row in range(at, at + size)], {"y": np.arange(at, at + size, dtype=np.float32)})
        at += size


Y = Spec(name="y", datatype="FP32")


@given(st.lists(st.integers(0, 9), max_size=5), st.data())
def test_every_row_is_sent_once_and_in_order_however_often_the_stream_is_cut(sizes: list[int], data) -> None:
    once = data.draw(st.booleans(), label="an iterator")
    chunks = Chunks(opened(Y), batches(sizes) if once else lambda: batches(sizes))
    stored: list[str] = []
    for _ in range(data.draw(st.integers(1, 4), label="streams")):
        for sent, chunk in enumerate(chunks.from_row(len(stored))):
            assert chunk.first_row <= len(stored), "no row is left out"
            assert chunk.columns[0] == np.array([float(entity) for entity in chunk.entities], "<f4").tobytes()
            stored += chunk.entities[len(stored) - chunk.first_row :]
            if data.draw(st.booleans(), label="acknowledged"):
                chunks.acknowledged(len(stored))
            if sent == data.draw(st.integers(0, 9), label="cut after"):
                break
    for chunk in chunks.from_row(len(stored)):
        stored += chunk.entities[len(stored) - chunk.first_row :]
    assert stored == [str(row) for row in range(sum(sizes))]


def test_rows_that_the_store_lost_are_read_again_where_that_can_be() -> None:
    repeatable, once = Chunks(opened(Y), lambda: batches([7])), Chunks(opened(Y), batches([7]))
    for chunks in (repeatable, once):
        list(chunks.from_row(0))
        chunks.acknowledged(7)
    assert [chunk.first_row for chunk in repeatable.from_row(2)] == [2, 5]
    with pytest.raises(PreconditionFailed, match="read only once"):
        list(once.from_row(2))


@each(
    "spec,values,expected",
    [
        pytest.param(Spec(datatype="FP32", shape=[1]), [1.5], np.array([1.5], "<f4"), id="a value stands for [1]"),
        pytest.param(Spec(datatype="FP32"), np.array([[2.0]]), np.array([2], "<f4"), id="[1] stands for a value"),
        pytest.param(Spec(datatype="FP64"), np.array([1], "i8"), np.array([1], "<f8"), id="integers become floats"),
        pytest.param(Spec(datatype="INT8"), np.array([-128]), np.array([-128], "i1"), id="narrower integers"),
        pytest.param(Spec(datatype="BOOL"), np.array([True]), np.array([1], "u1"), id="BOOL"),
        pytest.param(Spec(datatype="BF16"), [1.0], np.array([0x3F80], "<u2"), id="BF16"),
        pytest.param(Spec(datatype="BYTES"), ["ä"], np.frombuffer(b"\2\0\0\0\xc3\xa4", "u1"), id="text"),
        pytest.param(Spec(datatype="FP32", shape=[2, 2]), [[1, 2, 3, 4]], np.arange(1, 5, dtype="<f4"), id="flat"),
    ],
)
def test_values_become_what_the_contract_says(spec: Spec, values: Any, expected: np.ndarray) -> None:
    spec.name = "y"
    (chunk,) = cut(opened(spec), Answers(["a"], {"y": values}), 0)
    assert chunk.columns == [expected.tobytes()]


@pytest.mark.parametrize(
    ("spec", "values", "says"),
    [
        pytest.param(Spec(datatype="INT32"), [1.5], "float64", id="floats for integers"),
        pytest.param(Spec(datatype="UINT8"), [256], "UINT8 cannot hold", id="too large"),
        pytest.param(Spec(datatype="BOOL"), [1], "int64", id="integers for BOOL"),
        pytest.param(Spec(datatype="FP32"), [1, 2], "2 rows for 1 entities", id="more rows"),
        pytest.param(Spec(datatype="FP32", shape=[2]), [[1, 2, 3]], "shape [3]; the version has [2]", id="shape"),
        pytest.param(Spec(datatype="BYTES"), [1.5], "BYTES elements are bytes or str", id="no BYTES"),
    ],
)
def test_values_that_do_not_fit_are_refused_before_they_are_sent(spec: Spec, values: Any, says: str) -> None:
    spec.name = "y"
    with pytest.raises(InvalidArgument) as wrong:
        list(cut(opened(spec), Answers(["a"], {"y": values}), 0))
    assert says in wrong.value.message


def test_an_output_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"outputs\.y: is missing"):
        list(cut(opened(Y), Answers(["a"], {"x": [1]}), 0))


def test_open_dimensions_are_stated_by_chunk() -> None:
    spec = Spec(name="y", datatype="FP32", shape=[-1, 2])
    (chunk,) = cut(opened(spec), Answers(["a"], {"y": np.zeros((1, 3, 2))}), 0)
    assert list(chunk.dims) == [3]
    (flat,) = cut(opened(spec), Answers(["a"], {"y": np.zeros((1, 8))}), 0)
    assert list(flat.dims) == [4]
