"""Finding rows with values that the contract excludes.

In answers they are counted for who judges the version, and never refused; NaN in requests is looked for once per joined
tensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from headrace_runtime.contract import FLOATS, TensorSpec
from headrace_runtime.shapes import OutputTensor, Raw

# numpy has no BF16: it is the upper half of an FP32.
_DTYPES = {
    name: np.dtype(code)
    for name, code in {
        "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
        "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
        "BF16": "<u2", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
    }.items()
}  # fmt: skip


class _Check(NamedTuple):
    """What one output is checked for. position: in the contract. checks_low, checks_high: reductions that suffice."""

    position: int
    datatype: str
    checks_low: bool
    checks_high: bool
    low: float
    high: float
    nan_allowed: bool


class OutputChecks:
    """Checks the answers of one version: while all is well, a reduction for each end of a range, or one for NaN."""

    def __init__(self, outputs: Sequence[TensorSpec]) -> None:
        self._checks = [check for at, spec in enumerate(outputs) if (check := _check_of(at, spec)) is not None]

    def invalid_rows(self, outputs: Sequence[OutputTensor], rows: int) -> list[int]:
        """Return which rows have such a value, rising. outputs: in the order of the contract, of their sizes."""
        bad: set[int] = set()
        for position, datatype, checks_low, checks_high, low, high, nan_allowed in self._checks:
            values = _values(outputs[position].data, datatype)
            # NaN is the least and the largest, and compares as false.
            if not values.size or (
                (not checks_low or low <= values.min()) and (not checks_high or values.max() <= high)
            ):
                continue
            wrong = (values < low) | (values > high)
            if not nan_allowed:
                wrong |= np.isnan(values)
            bad.update(np.flatnonzero(wrong.reshape(rows, -1).any(axis=1)).tolist())
        return sorted(bad)


def _check_of(position: int, spec: TensorSpec) -> _Check | None:
    if spec.datatype not in _DTYPES or (spec.minimum is None and spec.maximum is None and spec.nan_allowed):
        return None
    low = -math.inf if spec.minimum is None else _as_written(spec.minimum, spec.datatype)
    high = math.inf if spec.maximum is None else _as_written(spec.maximum, spec.datatype)
    checks_low = spec.minimum is not None
    checks_high = spec.maximum is not None or not checks_low
    return _Check(position, spec.datatype, checks_low, checks_high, low, high, spec.nan_allowed)


def _values(data: Raw, datatype: str) -> np.ndarray:
    values = np.frombuffer(data, _DTYPES[datatype])
    return (values.astype("<u4") << 16).view("<f4") if datatype == "BF16" else values


def _as_written(end: float, datatype: str) -> float:
    """Return the end of a range as the datatype writes it, which is itself within it; infinite if it is too large."""
    if datatype not in FLOATS:
        return end
    with np.errstate(over="ignore"):
        if datatype != "BF16":
            return float(_DTYPES[datatype].type(end))
        bits = np.array([end], "<f4").view("<u4")
    return float(((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view("<f4")[0])  # to nearest even


_FLOATS = {"FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}


def rows_with_nan(data: Raw, datatype: str, rows: int) -> list[int]:
    """Return which of the `rows` equal rows of a tensor hold a NaN, rising; datatypes without NaN have none."""
    if datatype == "BF16":
        # numpy has no bfloat16: NaN is an exponent of ones with any other fraction than zero.
        bad = (np.frombuffer(data, np.dtype("<u2")) & 0x7FFF) > 0x7F80
    elif datatype in _FLOATS:
        bad = np.isnan(np.frombuffer(data, _FLOATS[datatype]))
    else:
        return []
    if not bad.any():
        return []
    return np.flatnonzero(bad.reshape(rows, -1).any(axis=1)).tolist()
