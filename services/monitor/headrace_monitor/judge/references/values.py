"""Convert Parquet columns, of uploaded files and of our log, to the values that the statistics take."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from headrace_statistics import references
from headrace_statistics.references import ColumnReference, NumericReference, Summary
from headrace_statistics.sketches import categories
from numpy.typing import NDArray

from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn
from headrace_monitor.record.log.raw_values import BYTES

# Its functions are made when it is imported, which type checkers do not see.
pc: Any = pyarrow.compute


class UnusableColumnError(Exception):
    """A column cannot be read as what the contract says; the message says why."""


def numbers(array: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return numbers, NaN for what is missing. Raises UnusableColumnError for what has no numbers."""
    kind = array.type
    if pa.types.is_null(kind):
        return np.full(len(array), np.nan)
    if not is_number(kind):
        raise UnusableColumnError(f"its type in the file is {kind}, which is no number")
    if pa.types.is_float64(kind) and array.null_count == 0:
        return array.to_numpy()
    if pa.types.is_decimal(kind):
        array = pc.cast(array, pa.string())  # Arrow's own cast is off by an ulp in one of seven
    return pc.fill_null(pc.cast(array, pa.float64(), safe=False), np.nan).to_numpy()


def is_number(kind: pa.DataType) -> bool:
    """Return whether values of a type are numbers, or count as such."""
    types = pa.types
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)


def names(array: pa.ChunkedArray, datatype: str) -> Counter[str | None]:
    """Return counts by name; None is a missing value. Raises UnusableColumnError for lists, structures and the like."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = pc.cast(array, kind.value_type)
    elif pa.types.is_nested(kind):
        raise UnusableColumnError(f"its type in the file is {kind}, which is no category")
    counted = pc.value_counts(array)
    values, times = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return categories.named((_plain(value, datatype), count) for value, count in zip(values, times, strict=True))


def coded_names(array: pa.ChunkedArray, datatype: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return which name each row has, -1 where it has none, and the names. Raises UnusableColumnError like `names`."""
    if pa.types.is_nested(array.type):
        raise UnusableColumnError(f"its type in the file is {array.type}, which is no category")
    encoded = array.combine_chunks().dictionary_encode()
    place: dict[str, int] = {}
    codes = np.full(len(encoded.dictionary) + 1, -1, dtype=np.int64)
    for index, value in enumerate(encoded.dictionary.to_pylist()):
        (name,) = categories.named([(_plain(value, datatype), 1)])
        if name is not None:
            codes[index] = place.setdefault(name, len(place))
    return codes[pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy()], list(place)


def matrix(array: pa.ChunkedArray, width: int) -> tuple[NDArray[np.float64], int]:
    """Return rows of lists, shape (rows, width), and how many rows have another length or are missing.

    Raises UnusableColumnError for what are no lists of numbers.
    """
    flat, others = elements(array, width)
    return numbers(flat).reshape(-1, width), others


def elements(array: pa.ChunkedArray, width: int) -> tuple[pa.ChunkedArray, int]:
    """Return the values of lists, row by row, and how many rows have another length or are missing.

    Raises UnusableColumnError for what are no lists.
    """
    kind = array.type
    if pa.types.is_null(kind):
        return array.slice(0, 0), len(array)
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise UnusableColumnError(f"its type in the file is {kind}; lists of {width} values are needed")
    fit = pc.fill_null(pc.equal(pc.list_value_length(array), width), False)
    lists = array.filter(fit)
    flat = pa.chunked_array([pc.list_flatten(chunk) for chunk in lists.chunks], type=kind.value_type)
    return flat, len(array) - len(lists)


def summarised(
    column: MonitoredColumn, frozen: ColumnReference, array: pa.ChunkedArray | None, rows: int
) -> Summary | None:
    """Summarise a column of the log on the edges of its reference; None where it is no longer of that kind.

    array: None where the file has no such column, so that each of its `rows` lacks the value.
    """
    array = pa.chunked_array([pa.nulls(rows)]) if array is None else array
    try:
        match frozen, column.read_as:
            case NumericReference(), ColumnType.NUMERIC:
                return references.summarise_numeric(numbers(array), frozen.edges)
            case references.CategoricalReference(), ColumnType.CATEGORICAL:
                return categories.from_counts(names(array, column.datatype), frozen.categories)
            case references.EmbeddingReference(), ColumnType.EMBEDDING:
                fit, others = matrix(array, frozen.space.dimensions)
                unusable = np.full((others, frozen.space.dimensions), np.nan)
                return references.summarise(frozen, np.concatenate([fit, unusable]))
    except UnusableColumnError:
        return None
    return None


def _plain(value: object, datatype: str) -> object:
    """Return a category as its text is sent: pandas writes whole numbers as floats where one is missing, and databases
    write decimals with trailing zeros.
    """
    if datatype == BYTES and isinstance(value, float) and value.is_integer():
        return int(value)
    if datatype == BYTES and isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value
