"""Rows of answers with values that the contract excludes are found, whatever the datatype, and no others."""

import numpy as np
import pytest
from headrace_batcher.batching.value_checks import OutputChecks
from headrace_client.tensors import round_to_bf16
from headrace_runtime.contract import TensorSpec
from headrace_runtime.shapes import OutputTensor

from tests.kit.rows import each

DTYPES = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "UINT8": "u1", "INT32": "<i4"}


def invalid(spec: TensorSpec, rows: list) -> list[int]:
    if spec.datatype == "BF16":
        values = round_to_bf16(np.array(rows, "<f4"))
    else:
        values = np.array(rows, dtype=DTYPES[spec.datatype])
    return OutputChecks([spec]).invalid_rows(
        [OutputTensor(spec.name, spec.datatype, values.shape, values.tobytes())], len(rows)
    )


@pytest.mark.parametrize("datatype", ["BF16", "FP16", "FP32", "FP64"])
def test_rows_with_nan_or_beyond_the_range_are_found(datatype):
    spec = TensorSpec("y", datatype, (2,), nan_allowed=False, minimum=0.0, maximum=0.1)
    rows = [[0, 0.1], [np.nan, 0], [0, 0.2], [-1, 0], [0.05, np.inf]]
    assert invalid(spec, rows) == [1, 2, 3, 4]


def test_nan_that_the_contract_allows_is_valid_and_does_not_hide_what_is_beyond_the_range():
    spec = TensorSpec("y", "FP32", (), nan_allowed=True, minimum=0.0)
    assert invalid(spec, [np.nan, 1, -1]) == [2]


@each("datatype", ["BF16", "FP16", "FP32", "FP64"])
@each("ends", [{"minimum": 0.0}, {"maximum": 9.0}, {"minimum": 0.0, "maximum": 9.0}, {}])
def test_one_end_of_a_range_is_enough_to_find_nan(datatype, ends):
    assert invalid(TensorSpec("y", datatype, (), nan_allowed=False, **ends), [1, np.nan, 2]) == [1]
    assert invalid(TensorSpec("y", datatype, (), nan_allowed=True, **ends), [1, np.nan, 2]) == []
    assert invalid(TensorSpec("y", datatype, (), **ends), [1, -1, 10]) == sorted(
        {"minimum": 1, "maximum": 2}[end] for end in ends
    )


@pytest.mark.parametrize("datatype", ["BF16", "FP16", "FP32"])
def test_the_end_of_a_range_that_is_too_large_for_the_datatype_excludes_nothing(datatype):
    spec = TensorSpec("y", datatype, (), minimum=-1e300, maximum=1e300)
    assert invalid(spec, [1, np.inf, -np.inf]) == []


@pytest.mark.parametrize("datatype", ["INT64", "UINT8", "INT32"])
def test_whole_numbers_have_a_range_too(datatype):
    assert invalid(TensorSpec("y", datatype, (), maximum=9), [0, 9, 10]) == [2]


def test_without_a_range_only_nan_is_looked_for():
    assert invalid(TensorSpec("y", "FP32", (), nan_allowed=False), [np.inf, np.nan, 1e30]) == [1]
    assert invalid(TensorSpec("y", "FP32", ()), [np.nan]) == []
    assert invalid(TensorSpec("y", "FP32", (0,), nan_allowed=False), [[], []]) == []


def test_an_output_of_text_or_of_bf16_is_no_trouble():
    text = OutputTensor("t", "BYTES", (1,), b"\x01\x00\x00\x00a")
    half = OutputTensor("h", "BF16", (2,), np.array([0x3F80, 0x7FC0], "<u2").tobytes())
    specs = [TensorSpec("t", "BYTES", ()), TensorSpec("h", "BF16", (), nan_allowed=False)]
    assert OutputChecks(specs).invalid_rows([text, half], 2) == [1]
