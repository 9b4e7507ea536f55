"""Finding rows of answers with values that the contract excludes: counted for who judges the version, never refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from headrace_runtime.contract import TensorSpec
from headrace_runtime.shapes import OutputTensor

from headrace_batcher.batching.nans import rows_with_nan

_DTYPES = {
    "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


class _Check(NamedTuple):
    """What one output is checked for. position: in the contract. dtype: None for BF16, which numpy has not."""

    position: int
    datatype: str
    dtype: np.dtype | None
    low: float
    high: float
    nan_allowed: bool


class OutputChecks:
    """Checks the answers of one version: two reductions over each output of a batch, while all is well."""

    def __init__(self, outputs: Sequence[TensorSpec]) -> None:
        self._checks = [check for at, spec in enumerate(outputs) if (check := _check_of(at, spec)) is not None]

    def invalid_rows(self, outputs: Sequence[OutputTensor], rows: int) -> list[int]:
        """Return which rows have such a value, rising. outputs: in the order of the contract, of their sizes."""
        bad: set[int] = set()
        for position, datatype, dtype, low, high, nan_allowed in self._checks:
            data = outputs[position].data
            if dtype is None:
                bad.update(rows_with_nan(data, datatype, rows))
                continue
            values = np.frombuffer(data, dtype)
            # NaN is the least and the largest, and compares as false.
            if not values.size or (low <= values.min() and values.max() <= high):
                continue
            wrong = (values < low) | (values > high)
            if not nan_allowed:
                wrong |= np.isnan(values)
            bad.update(np.flatnonzero(wrong.reshape(rows, -1).any(axis=1)).tolist())
        return sorted(bad)


def _check_of(position: int, spec: TensorSpec) -> _Check | None:
    dtype = _DTYPES.get(spec.datatype)
    low = -math.inf if spec.minimum is None else spec.minimum
    high = math.inf if spec.maximum is None else spec.maximum
    if dtype is None:
        excludes_nan = spec.datatype == "BF16" and not spec.nan_allowed
        return _Check(position, spec.datatype, None, low, high, spec.nan_allowed) if excludes_nan else None
    bounded = spec.minimum is not None or spec.maximum is not None
    if not bounded and spec.nan_allowed:
        return None
    kind = np.dtype(dtype)
    if kind.kind == "f":  # the end of a range is itself within it, as the datatype writes it
        low, high = float(kind.type(low)), float(kind.type(high))
    return _Check(position, spec.datatype, kind, low, high, spec.nan_allowed)
