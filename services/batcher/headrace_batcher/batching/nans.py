"""Finding the rows that hold a NaN, once per joined tensor."""

from __future__ import annotations

import numpy as np
from headrace_runtime.shapes import Raw

_DTYPES = {"FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}


def rows_with_nan(data: Raw, datatype: str, rows: int) -> list[int]:
    """Return which of the `rows` equal rows of a tensor hold a NaN, rising; datatypes without NaN have none."""
    if datatype == "BF16":
        # numpy has no bfloat16: NaN is an exponent of ones with any other fraction than zero.
        bad = (np.frombuffer(data, np.dtype("<u2")) & 0x7FFF) > 0x7F80
    elif datatype in _DTYPES:
        bad = np.isnan(np.frombuffer(data, _DTYPES[datatype]))
    else:
        return []
    if not bad.any():
        return []
    return np.flatnonzero(bad.reshape(rows, -1).any(axis=1)).tolist()
