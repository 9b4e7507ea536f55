"""Wrong answers: some that a contract excludes, some that no check detects."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

# numpy has no BF16: it is the upper half of an FP32.
_DTYPES = {
    "BOOL": np.dtype("?"), "UINT8": np.dtype("u1"), "UINT16": np.dtype("<u2"), "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"), "INT8": np.dtype("i1"), "INT16": np.dtype("<i2"), "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"), "FP16": np.dtype("<f2"), "BF16": np.dtype("<u2"), "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}  # fmt: skip
_NAN = {"FP16": b"\x00\x7e", "BF16": b"\xc0\x7f", "FP32": b"\x00\x00\xc0\x7f", "FP64": b"\x00" * 6 + b"\xf8\x7f"}
# Another of the same size, so that nothing but the word is wrong.
_MISTAKEN = {
    "BOOL": "UINT8", "UINT8": "INT8", "INT8": "UINT8", "UINT16": "INT16", "INT16": "UINT16", "UINT32": "FP32",
    "INT32": "FP32", "UINT64": "FP64", "INT64": "FP64", "FP16": "INT16", "BF16": "INT16", "FP32": "INT32",
    "FP64": "INT64", "BYTES": "BYTES",
}  # fmt: skip


class Wrong(enum.StrEnum):
    """What is wrong with an answer.

    SHAPE and DATATYPE break the contract. NAN may break it by value. CONSTANT and PERMUTED (rows in each other's place)
    look like any answer.
    """

    SHAPE = "shape"
    DATATYPE = "datatype"
    NAN = "nan"
    CONSTANT = "constant"
    PERMUTED = "permuted"


def spoil(answer: Any, how: Wrong) -> None:
    """Make a ModelInferResponse with raw contents wrong. What a way cannot do to an output leaves it as it is."""
    for index, output in enumerate(answer.outputs):
        if index >= len(answer.raw_output_contents):
            return
        content = answer.raw_output_contents[index]
        if how is Wrong.SHAPE:
            output.shape.append(1)
        elif how is Wrong.DATATYPE:
            output.datatype = _MISTAKEN.get(output.datatype, output.datatype)
        elif how is Wrong.NAN:
            if nan := _NAN.get(output.datatype):
                answer.raw_output_contents[index] = nan * (len(content) // len(nan))
        elif output.datatype in _DTYPES:
            answer.raw_output_contents[index] = _misplaced(content, output.datatype, list(output.shape), how)


def _misplaced(content: bytes, datatype: str, shape: list[int], how: Wrong) -> bytes:
    values = np.frombuffer(content, _DTYPES[datatype])
    if not values.size:
        return content
    if how is Wrong.CONSTANT:
        return np.full_like(values, values[0]).tobytes()
    rows = shape[0] if shape and values.size % max(shape[0], 1) == 0 else 1
    # One row cannot change places: its values do.
    return np.roll(values.reshape(rows, -1), 1, axis=0 if rows > 1 else 1).tobytes()
