"""NaN is found in the rows that hold it, whatever the datatype."""

import numpy as np
import pytest
from headrace_batcher.batching.value_checks import rows_with_nan


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_rows_with_nan_are_named(datatype):
    values = np.zeros((5, 3), dtype={"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}[datatype])
    values[0, 0], values[1, 2], values[4, 1] = np.inf, np.nan, -np.nan
    assert rows_with_nan(values.tobytes(), datatype, 5) == [1, 4]


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        pytest.param(0x7F80, [], id="infinity"),
        pytest.param(0xFF80, [], id="negative infinity"),
        pytest.param(0x7F81, [1], id="signalling NaN"),
        pytest.param(0xFFC0, [1], id="negative NaN"),
        pytest.param(0x3F80, [], id="one"),
    ],
)
def test_bf16_is_judged_by_its_bits(bits, expected):
    values = np.array([[0, 0], [0, bits]], dtype="<u2")
    assert rows_with_nan(values.tobytes(), "BF16", 2) == expected


def test_bits_of_integers_are_no_nan():
    assert rows_with_nan(b"\xff" * 16, "INT32", 2) == []
