"""Convert columns of a reference's file to the values that the log has of the same rows, in the contract's datatype.

A table from pandas has float64 where the contract says FP32, and floats where an integer is missing. Compared as they
are, the same data would differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from headrace_servicekit.confinement import first_line

from headrace_monitor.judge.references.values import UnusableColumnError, is_number, numbers
from headrace_monitor.record.log.raw_values import BYTES, is_float, rounded

# Its functions are made when it is imported, which type checkers do not see.
pc: Any = pyarrow.compute


def as_logged(array: pa.ChunkedArray, datatype: str) -> pa.ChunkedArray:
    """Return values, none of them lists, as the log has them. Raises UnusableColumnError for what cannot be converted.

    >>> as_logged(pa.chunked_array([[1.0, None]]), "INT64").to_pylist()
    [1, None]
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = pc.cast(array, kind.value_type)
    if pa.types.is_nested(array.type):
        raise UnusableColumnError(f"its type in the file is {kind}, which is no single value")
    # Category names can be made of values of any type.
    return array if datatype == BYTES else _number(array, datatype)


def _number(array: pa.ChunkedArray, datatype: str) -> pa.ChunkedArray:
    kind = array.type
    target = pa.float64() if is_float(datatype) else pa.bool_() if datatype == "BOOL" else _integer(datatype)
    if pa.types.is_null(kind):
        return pa.chunked_array([pa.nulls(len(array), target)])
    if _is_text(kind):
        array = _parsed(array, target)
    elif not is_number(kind):
        raise UnusableColumnError(f"its type in the file is {kind}, which is no number")
    if is_float(datatype):
        return pa.chunked_array([pa.array(rounded(numbers(array), datatype))])
    return _exactly(_without_nan(array), target, datatype)


def _exactly(array: pa.ChunkedArray, target: pa.DataType, datatype: str) -> pa.ChunkedArray:
    """Return whole numbers or truth values, none of them changed."""
    try:
        if not pa.types.is_boolean(target):
            return pc.cast(array, target)
        small = pc.cast(array, pa.uint8())
    except pa.ArrowInvalid as error:
        raise UnusableColumnError(f"not all of its values are {datatype}: {first_line(error)}") from None
    if (pc.max(small).as_py() or 0) > 1:
        raise UnusableColumnError(f"not all of its values are {datatype}: there are numbers beside 0 and 1")
    return pc.cast(small, target)


def _without_nan(array: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(array.type):
        return array
    array = pc.cast(array, pa.float64())
    return pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)


def _parsed(array: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    try:
        return pc.cast(pc.cast(array, pa.large_string()), target)
    except pa.ArrowInvalid:
        raise UnusableColumnError(f"its type in the file is {array.type}, which is no number") from None


def _is_text(kind: pa.DataType) -> bool:
    return any(
        is_one(kind)
        for is_one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _integer(datatype: str) -> pa.DataType:
    return pa.from_numpy_dtype(np.dtype(datatype.lower()))
