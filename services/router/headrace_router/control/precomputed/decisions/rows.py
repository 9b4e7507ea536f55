"""Rows of a chunk checked against a version's outputs, and encoded as the answers that data planes copy.

A row is fields 5 and 6 of PredictResponse: descriptions first, then values. The rows of a chunk have the same
descriptions and, but for BYTES, the same lengths: what they share is written once and the values are put in as columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import FieldViolation, refusal, refuse
from headrace_servicekit.varint import varint
from numpy.typing import NDArray

from headrace_router.datatypes import ELEMENT_BYTES

MAX_ENTITY_BYTES = 1024
CONTRACT_VIOLATED = "CONTRACT_VIOLATED"
_LENGTH_BYTES = 4
_DESCRIBED, _VALUES = b"\x2a", b"\x32"  # tags of fields 5 and 6, both length-delimited
_FLOATS = {"FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}


class Output(NamedTuple):
    """One output of a contract. shape: of one row, -1 for a dimension that the contract leaves open."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    nan_allowed: bool = False


class Chunk(NamedTuple):
    """Rows as they are sent. columns: one per output. dims: sizes of the open dimensions, over all outputs."""

    first_row: int
    entities: Sequence[str]
    columns: Sequence[bytes]
    dims: tuple[int, ...] = ()


class Rows:
    """The rows of a chunk that keeps the contract; `encode` any part of them."""

    def __init__(self, prefix: bytes, columns: Sequence[NDArray[np.uint8] | Sequence[bytes]]) -> None:
        """prefix: the descriptions. columns: for each output the bytes of each row."""
        self._prefix, self._columns = prefix, columns

    def encode(self, begin: int, end: int) -> list[bytes]:
        """Return the encoded answers of rows [begin, end)."""
        if all(isinstance(column, np.ndarray) for column in self._columns):
            return self._of_one_length(begin, end)
        rows = []
        for index in range(begin, end):
            parts = [self._prefix]
            for column in self._columns:
                value = bytes(column[index])
                parts += (_VALUES, varint(len(value)), value)
            rows.append(b"".join(parts))
        return rows

    def _of_one_length(self, begin: int, end: int) -> list[bytes]:
        heads = [_VALUES + varint(column.shape[1]) for column in self._columns]  # type: ignore[union-attr]
        sizes = [column.shape[1] for column in self._columns]  # type: ignore[union-attr]
        size = len(self._prefix) + sum(map(len, heads)) + sum(sizes)
        block = np.empty((end - begin, size), np.uint8)
        at = _put(block, 0, self._prefix)
        for head, length, column in zip(heads, sizes, self._columns, strict=True):
            at = _put(block, at, head)
            block[:, at : at + length] = column[begin:end]
            at += length
        encoded = block.tobytes()
        return [encoded[index : index + size] for index in range(0, len(encoded), size)]


def outputs_of(contract: tensor_pb2.ServingContract) -> tuple[Output, ...]:
    """Return the outputs of a version. Raises ValueError for a datatype that is not known."""
    for spec in contract.outputs:
        if spec.datatype != "BYTES" and spec.datatype not in ELEMENT_BYTES:
            raise ValueError(f"output '{spec.name}' has unknown datatype {spec.datatype!r}")
    return tuple(Output(one.name, one.datatype, tuple(one.shape), one.nan_allowed) for one in contract.outputs)


def check(outputs: Sequence[Output], chunk: Chunk) -> Rows:
    """Return the rows of a chunk. Raises InvalidArgument that names the row and the field."""
    wrong = [*_entity_faults(chunk)]
    shapes = _shapes(outputs, chunk, wrong)
    if len(chunk.columns) != len(outputs):
        names = ", ".join(output.name for output in outputs)
        message = f"{len(chunk.columns)} columns; the version has {len(outputs)} outputs: {names}"
        wrong.append(FieldViolation("columns", message))
    if wrong or shapes is None:
        raise refusal(wrong, reason=CONTRACT_VIOLATED)
    columns = []
    for index, (output, shape, content) in enumerate(zip(outputs, shapes, chunk.columns, strict=True)):
        try:
            columns.append(_column(output, shape, content, chunk))
        except ValueError as fault:
            wrong.append(FieldViolation(f"columns[{index}]", str(fault)))
    refuse(wrong, reason=CONTRACT_VIOLATED)
    return Rows(described(outputs, shapes), columns)


def described(outputs: Sequence[Output], shapes: Sequence[tuple[int, ...]]) -> bytes:
    """Return field 5 of the answer of one row, encoded."""
    parts = []
    for output, shape in zip(outputs, shapes, strict=True):
        tensor = tensor_pb2.Tensor(name=output.name, datatype=output.datatype, shape=(1, *shape)).SerializeToString()
        parts += (_DESCRIBED, varint(len(tensor)), tensor)
    return b"".join(parts)


def least_bytes(outputs: Sequence[Output]) -> int:
    """Return how long an encoded answer is at least: open dimensions and BYTES count as nothing."""
    shapes = [tuple(max(size, 0) for size in output.shape) for output in outputs]
    values = sum(
        math.prod(shape) * ELEMENT_BYTES.get(output.datatype, _LENGTH_BYTES)
        for output, shape in zip(outputs, shapes, strict=True)
    )
    return len(described(outputs, shapes)) + values + 2 * len(outputs)


def _put(block: NDArray[np.uint8], at: int, constant: bytes) -> int:
    block[:, at : at + len(constant)] = np.frombuffer(constant, np.uint8)
    return at + len(constant)


def _entity_faults(chunk: Chunk) -> list[FieldViolation]:
    for index, entity in enumerate(chunk.entities):
        # The first one is enough: a column without names would fill the answer. A character takes at most four bytes.
        if not entity or (4 * len(entity) > MAX_ENTITY_BYTES and len(entity.encode()) > MAX_ENTITY_BYTES):
            fault = "is empty" if not entity else f"takes more than {MAX_ENTITY_BYTES} bytes"
            return [FieldViolation(f"entities[{index}]", f"the entity of row {chunk.first_row + index} {fault}")]
    return []


def _shapes(outputs: Sequence[Output], chunk: Chunk, wrong: list[FieldViolation]) -> list[tuple[int, ...]] | None:
    """Return the shape of one row of each output, or None after adding to what is wrong."""
    open_dims = sum(size < 0 for output in outputs for size in output.shape)
    if len(chunk.dims) != open_dims:
        wrong.append(
            FieldViolation("dims", f"{len(chunk.dims)} sizes; the contract leaves {open_dims} dimensions open")
        )
        return None
    if any(not 0 <= size < 2**31 for size in chunk.dims):
        wrong.append(FieldViolation("dims", "a size is negative or too large"))
        return None
    sizes = iter(chunk.dims)
    return [tuple(size if size >= 0 else next(sizes) for size in output.shape) for output in outputs]


def _column(
    output: Output, shape: tuple[int, ...], content: bytes, chunk: Chunk
) -> NDArray[np.uint8] | Sequence[bytes]:
    """Return the bytes of each row of a column. Raises ValueError that says what is wrong with which row."""
    rows, elements = len(chunk.entities), math.prod(shape)
    if output.datatype == "BYTES":
        return _split(output.name, content, elements, chunk)
    size = elements * ELEMENT_BYTES[output.datatype]
    if len(content) != rows * size:
        raise ValueError(
            f"output '{output.name}' has {len(content)} bytes where {rows} rows of {output.datatype} {list(shape)} "
            f"need {rows * size}"
        )
    values = np.frombuffer(content, np.uint8).reshape(rows, size)
    fault = _value_fault(output, content, rows, elements)
    if fault is not None:
        row, fault_text = fault
        raise ValueError(f"output '{output.name}' of {_row(chunk, row)} {fault_text}")
    return values


def _value_fault(output: Output, content: bytes, rows: int, elements: int) -> tuple[int, str] | None:
    """Return the first row with a value that is not allowed, and what is wrong with it."""
    bad: NDArray[Any]
    if output.datatype == "BOOL":
        bad, message = np.frombuffer(content, np.uint8) > 1, "is neither 0 nor 1"
    elif output.nan_allowed:
        return None
    elif output.datatype in _FLOATS:
        bad, message = np.isnan(np.frombuffer(content, _FLOATS[output.datatype])), "is NaN, which the contract forbids"
    elif output.datatype == "BF16":
        bad = (np.frombuffer(content, "<u2") & 0x7FFF) > 0x7F80
        message = "is NaN, which the contract forbids"
    else:
        return None
    if not bad.any():
        return None
    return int(np.flatnonzero(bad.reshape(rows, elements).any(axis=1))[0]), message


def _split(name: str, content: bytes, elements: int, chunk: Chunk) -> list[bytes]:
    """Return the bytes of each row of a BYTES column."""
    rows, at, size = [], 0, len(content)
    for row in range(len(chunk.entities)):
        begin = at
        for _ in range(elements):
            after = at + _LENGTH_BYTES
            at = after + int.from_bytes(content[at:after], "little")
            if after > size or at > size:
                raise ValueError(f"output '{name}' ends within {_row(chunk, row)}")
        rows.append(content[begin:at])
    if at != size:
        raise ValueError(f"output '{name}' has {size - at} bytes after its {len(rows)} rows")
    return rows


def _row(chunk: Chunk, index: int) -> str:
    return f"row {chunk.first_row + index} (entity '{chunk.entities[index]}')"
