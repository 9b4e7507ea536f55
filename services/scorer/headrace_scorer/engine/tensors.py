"""Columns as tensors: the bytes that a model takes, and the rows that it must not be given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from headrace_runtime.backends.onnx_session import DTYPES
from headrace_runtime.contract import BYTES, TensorSpec
from headrace_runtime.shapes import OutputTensor, Raw

from headrace_scorer.decisions.columns import elements
from headrace_scorer.decisions.specs import TensorColumns
from headrace_scorer.engine.inputs.rows import shown

# Its functions are made when it is imported.
pc: Any = pyarrow.compute

_CACHED_BYTES = 128 << 10


@dataclass(frozen=True, slots=True)
class Tensor:
    """Rows of a tensor: an array of numbers, or of bytes objects, with as many columns as a row has elements."""

    spec: TensorSpec
    values: np.ndarray

    def raw(self, rows: np.ndarray | slice) -> Raw:
        """Return the bytes of some rows, as a backend takes them; of numbers in their place, without a copy."""
        taken = self.values[rows]
        if self.spec.datatype != BYTES and taken.size:
            return np.ascontiguousarray(taken).reshape(-1).data.cast("B")
        return b"".join(len(one).to_bytes(4, "little") + one for one in taken.ravel())


class Faults:
    """Rows that are rejected, each with its first fault."""

    def __init__(self, rows: int) -> None:
        self.good = np.ones(rows, bool)
        self.found: dict[int, tuple[str, str]] = {}

    def add(self, wrong: np.ndarray, column: str, reason: str, values: pa.Array | None = None) -> None:
        """Record a fault of rows. wrong: mask of the rows; values: of the column, shown in the reason."""
        if not wrong.any():
            return
        for at in np.flatnonzero(wrong & self.good):
            detail = reason if values is None else f"{shown(values[int(at)].as_py())} {reason}"
            self.found[int(at)] = (column, detail)
        self.good &= ~wrong

    def merge(self, other: Faults, start: int) -> None:
        """Add the faults of a slice. start: its first row."""
        for at, fault in other.found.items():
            self.found.setdefault(start + at, fault)
        self.good[start : start + len(other.good)] &= other.good


def tensor_of(table: pa.Table, one: TensorColumns, spec: TensorSpec, faults: Faults) -> Tensor:
    """Return the rows of a tensor. The values of rows with a fault are undefined."""
    parts = [_column(table, name, spec, faults) for name in one.columns]
    return Tensor(spec, parts[0] if len(parts) == 1 else _beside(parts))


def _beside(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return columns concatenated along the second axis, in blocks of rows that fit in the CPU cache."""
    widths = sum(part.shape[1] for part in parts)
    together = np.empty((len(parts[0]), widths), parts[0].dtype)
    rows = max(1, _CACHED_BYTES // max(1, widths * together.itemsize))
    for start in range(0, len(together), rows):
        some = slice(start, start + rows)
        np.concatenate([part[some] for part in parts], axis=1, out=together[some])
    return together


def _column(table: pa.Table, name: str, spec: TensorSpec, faults: Faults) -> np.ndarray:
    column = table.column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count:
        faults.add(column.is_null().to_numpy(zero_copy_only=False), name, "is null")
    count = elements(spec)
    if pa.types.is_nested(column.type):
        return _lists(column, name, spec, count, faults)
    return _values(column, name, spec, faults).reshape(-1, 1)


def _lists(column: pa.Array, name: str, spec: TensorSpec, count: int, faults: Faults) -> np.ndarray:
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    faults.add(lengths != count, name, f"has not the {count} elements of input '{spec.name}'")
    fits = faults.good
    flat = pc.list_flatten(column.filter(pa.array(fits)))
    inner = Faults(len(flat))
    inner.add(flat.is_null().to_numpy(zero_copy_only=False), name, "has an element that is null")
    values = _values(flat, name, spec, inner).reshape(-1, count)
    whole = np.zeros((len(column), count), values.dtype)
    whole[fits] = values
    rows = np.flatnonzero(fits)
    for at, (_, reason) in inner.found.items():
        wrong = np.zeros(len(column), bool)
        wrong[rows[at // count]] = True
        faults.add(wrong, name, f"element {at % count}: {reason}")
    return whole


def _values(column: pa.Array, name: str, spec: TensorSpec, faults: Faults) -> np.ndarray:
    if spec.datatype == BYTES:
        values = np.empty(len(column), np.object_)
        values[:] = [one.encode() if isinstance(one, str) else one or b"" for one in column.to_pylist()]
        return values
    dtype = DTYPES[spec.datatype]
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if dtype.kind == "b":
        return column.fill_null(False).to_numpy(zero_copy_only=False)
    numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            values = numbers.astype(dtype, copy=False)
        if not spec.nan_allowed:
            faults.add(np.isnan(values), name, f"is NaN, which input '{spec.name}' does not allow")
        if numbers.dtype.kind == "f" and numbers.dtype.itemsize > dtype.itemsize:
            faults.add(np.isinf(values) & np.isfinite(numbers), name, f"is too large for {spec.datatype}", column)
    else:
        values = _integers(numbers, dtype, name, spec.datatype, faults, column)
    for bound, beyond in ((spec.minimum, np.less), (spec.maximum, np.greater)):
        if bound is not None:
            message = f"is {'below' if beyond is np.less else 'above'} {bound:g}, the bound of input '{spec.name}'"
            faults.add(beyond(values, bound), name, message, column)
    return values


def _integers(
    numbers: np.ndarray, dtype: np.dtype, name: str, datatype: str, faults: Faults, column: pa.Array
) -> np.ndarray:
    bounds = np.iinfo(dtype)
    if numbers.dtype.kind == "f":
        # The upper bound of 64-bit integers is no exact float: a value that reaches its rounding does not fit.
        with np.errstate(invalid="ignore"):
            fits = (numbers == np.floor(numbers)) & (numbers >= float(bounds.min)) & (numbers < float(bounds.max) + 1)
    else:
        fits = np.ones(len(numbers), bool)
        if np.can_cast(numbers.dtype, dtype):
            return numbers.astype(dtype, copy=False)
        if numbers.dtype.kind == "i":
            fits &= numbers >= max(bounds.min, np.iinfo(numbers.dtype).min)
        fits &= numbers <= min(bounds.max, np.iinfo(numbers.dtype).max)
    faults.add(~fits, name, f"is no {datatype}", column)
    return np.where(fits, numbers, 0).astype(dtype)


def column_of(spec: TensorSpec, outputs: Sequence[OutputTensor]) -> pa.Array:
    """Return an output of several batches as a column: values, or lists of the elements of a row, in their order."""
    count = elements(spec) if all(size >= 0 for size in spec.row_shape) else None
    if spec.datatype == BYTES:
        flat = pa.array([text for one in outputs for text in _texts(one.data)])
    else:
        flat = pa.array(np.concatenate([np.frombuffer(one.data, DTYPES[spec.datatype]) for one in outputs]))
    if count is None:
        sizes = np.concatenate([np.full(one.shape[0], np.prod(one.shape[1:], dtype=int)) for one in outputs])
    else:
        sizes = np.full(sum(one.shape[0] for one in outputs), count)
    # Not by their sum: rows of two and of none have as many values as rows.
    if (sizes == 1).all():
        return flat
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _texts(data: bytes | memoryview) -> list[str]:
    texts, at, raw = [], 0, bytes(data)
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        texts.append(raw[at + 4 : end].decode(errors="replace"))
        at = end
    return texts


def type_of(spec: TensorSpec) -> pa.DataType:
    """Return the type of an output's column."""
    values = pa.string() if spec.datatype == BYTES else pa.from_numpy_dtype(DTYPES[spec.datatype])
    return values if spec.row_shape in ((), (1,)) else pa.list_(values)
