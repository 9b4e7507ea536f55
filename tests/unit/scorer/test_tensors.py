"""Columns as tensors: their bytes, and rows that must not go to a model."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headrace_runtime.contract import TensorSpec
from headrace_runtime.shapes import OutputTensor
from headrace_scorer.decisions.specs import TensorColumns
from headrace_scorer.engine.tensors import Faults, Tensor, column_of, tensor_of

from tests.kit.rows import each


def made(values: Any, spec: TensorSpec, type_: pa.DataType | None = None) -> tuple[Tensor, Faults]:
    table = pa.table({"c": pa.array(values, type_)})
    faults = Faults(table.num_rows)
    return tensor_of(table, TensorColumns(spec.name, ("c",)), spec, faults), faults


def test_several_columns_are_one_tensor_row_by_row():
    table = pa.table({"a": [1.0, 2.0], "b": pa.array([3, 4], pa.int32())})
    tensor = tensor_of(table, TensorColumns("x", ("a", "b")), TensorSpec("x", "FP32", (2,)), Faults(2))
    assert tensor.raw(slice(0, 2)) == np.array([[1, 3], [2, 4]], np.float32).tobytes()
    assert tensor.raw(np.array([1])) == np.array([[2, 4]], np.float32).tobytes()


@each(
    "values,spec,wrong",
    [
        ([1.0, None, 3.0], TensorSpec("x", "FP32", ()), {1: "is null"}),
        ([1.0, float("nan")], TensorSpec("x", "FP32", (), nan_allowed=False), {1: "is NaN"}),
        ([1.0, float("nan")], TensorSpec("x", "FP32", ()), {}),
        ([1.0, 1e300], TensorSpec("x", "FP32", ()), {1: "1e+300 is too large for FP32"}),
        ([1.0, 2.5, float("inf")], TensorSpec("x", "INT64", ()), {1: "2.5 is no INT64", 2: "inf is no INT64"}),
        ([1, 300, -1], TensorSpec("x", "UINT8", ()), {1: "300 is no UINT8", 2: "-1 is no UINT8"}),
        ([2**63 - 1, 2**62], TensorSpec("x", "INT64", ()), {}),
        ([5, 50], TensorSpec("x", "INT32", (), maximum=10), {1: "50 is above 10"}),
        ([0.5, -0.5], TensorSpec("x", "FP64", (), minimum=0), {1: "-0.5 is below 0"}),
        ([[1, 2], [3], None, [4, None]], TensorSpec("x", "FP32", (2,)), {1: "2 elements", 2: "null", 3: "element"}),
        ([[1.0, 2.5]], TensorSpec("x", "INT32", (2,)), {0: "element 1: 2.5 is no INT32"}),
        ([True, False, None], TensorSpec("x", "BOOL", ()), {2: "is null"}),
    ],
)
def test_what_does_not_fit_is_a_fault_of_its_row(values: list[Any], spec: TensorSpec, wrong: dict[int, str]):
    _, faults = made(values, spec)
    assert faults.found.keys() == wrong.keys()
    for row, told in wrong.items():
        assert told in faults.found[row][1]
    assert [at for at, good in enumerate(faults.good) if not good] == sorted(wrong)


def test_texts_carry_their_lengths():
    tensor, faults = made(["ä", "", None], TensorSpec("x", "BYTES", ()))
    assert tensor.raw(slice(0, 2)) == b"\x02\0\0\0\xc3\xa4\0\0\0\0"
    assert faults.found.keys() == {2}


@pytest.mark.parametrize("type_", [pa.decimal128(10, 2), pa.int64(), pa.float32(), pa.uint16()])
def test_numbers_of_every_type_are_numbers(type_: pa.DataType):
    tensor, faults = made([1, 2], TensorSpec("x", "FP32", ()), type_)
    assert (tensor.raw(slice(0, 2)), faults.found) == (np.array([1, 2], np.float32).tobytes(), {})


def test_outputs_are_columns_of_values_or_of_lists():
    def output(values: Any) -> OutputTensor:
        array = np.array(values, np.float32)
        return OutputTensor("y", "FP32", array.shape, array.tobytes())

    assert column_of(TensorSpec("y", "FP32", (1,)), [output([[1], [2]]), output([[3]])]).to_pylist() == [1, 2, 3]
    lists = column_of(TensorSpec("y", "FP32", (2,)), [output([[1, 2]]), output([[3, 4]])])
    assert lists.to_pylist() == [[1, 2], [3, 4]]
    varying = column_of(TensorSpec("y", "FP32", (-1,)), [output([[1, 2]]), output([[3]])])
    assert varying.to_pylist() == [[1, 2], [3]]
    as_many = column_of(TensorSpec("y", "FP32", (-1,)), [output([[1, 2]]), output([[]]), output([[3]])])
    assert as_many.to_pylist() == [[1, 2], [], [3]]
    assert column_of(TensorSpec("y", "FP32", (-1,)), [output([[1], [2]]), output([[3]])]).to_pylist() == [1, 2, 3]
    texts = OutputTensor("y", "BYTES", (2,), b"\x01\0\0\0a\0\0\0\0")
    assert column_of(TensorSpec("y", "BYTES", ()), [texts]).to_pylist() == ["a", ""]
