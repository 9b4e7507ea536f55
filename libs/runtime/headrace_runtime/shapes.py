"""Rows of raw tensors: which requests can share a batch, joining them, and cutting rows out again.

A tensor is its bytes, row after row. Rows of fixed-size datatypes all have the same length; rows of BYTES are found by
walking over the lengths that stand before each element.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

from headrace_runtime.contract import BYTES, ELEMENT_BYTES, Contract, TensorSpec

Raw = bytes | memoryview


class ShapeKey(NamedTuple):
    """What two requests must have in common to share a batch.

    absent: positions of the optional inputs that are left out. dims: sizes of the variable dimensions of the others.
    """

    absent: tuple[int, ...] = ()
    dims: tuple[int, ...] = ()


FIXED = ShapeKey()


class WrongInput(Exception):
    """An input does not fit its contract. `position` is its place in the contract, None when none is to blame."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class WrongOutput(Exception):
    """A backend's answer is not what the contract declares; the message names the output."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The inputs of all requests with one ShapeKey: those that are present, with their rows.

    positions: places in the contract. row_shapes: without variable dimensions. row_bytes: None for BYTES.
    """

    inputs: tuple[TensorSpec, ...]
    positions: tuple[int, ...]
    row_shapes: tuple[tuple[int, ...], ...]
    row_bytes: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """One tensor of a backend's answer; `shape` begins with the rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Raw


def layout_of(contract: Contract, key: ShapeKey) -> Layout:
    """Return the layout of a key. Raises WrongInput when the key does not fit the contract."""
    dims = iter(key.dims)
    absent = frozenset(key.absent)
    if any(position >= len(contract.inputs) for position in absent):
        raise WrongInput("an absent input is not one of the contract")
    inputs, positions, row_shapes, row_bytes = [], [], [], []
    for position, spec in enumerate(contract.inputs):
        if position in absent:
            if not spec.optional:
                raise WrongInput(f"input '{spec.name}' is missing", position)
            continue
        shape = tuple(next(dims, -1) if size == -1 else size for size in spec.row_shape)
        if any(size < 0 for size in shape):
            raise WrongInput(f"input '{spec.name}' has a variable dimension without size", position)
        inputs.append(spec)
        positions.append(position)
        row_shapes.append(shape)
        row_bytes.append(None if spec.datatype == BYTES else math.prod(shape) * ELEMENT_BYTES[spec.datatype])
    if next(dims, None) is not None:
        raise WrongInput("more sizes of variable dimensions than the contract has")
    return Layout(tuple(inputs), tuple(positions), tuple(row_shapes), tuple(row_bytes))


def check_inputs(layout: Layout, rows: int, inputs: Sequence[bytes]) -> int:
    """Return the size of all inputs in bytes. Raises WrongInput for what would shift the rows of batch-mates."""
    if rows < 1:
        raise WrongInput("a request has no rows")
    if len(inputs) != len(layout.inputs):
        raise WrongInput(f"{len(inputs)} inputs came with a request that should have {len(layout.inputs)}")
    total = 0
    for index, row_bytes in enumerate(layout.row_bytes):
        size = len(inputs[index])
        total += size
        if row_bytes is None:
            _check_bytes(layout, index, rows, inputs[index])
        elif size != rows * row_bytes:
            name = layout.inputs[index].name
            raise WrongInput(
                f"input '{name}' has {size} bytes; {rows} rows of it have {rows * row_bytes}", layout.positions[index]
            )
    return total


def _check_bytes(layout: Layout, index: int, rows: int, data: bytes) -> None:
    try:
        row_offsets(data, rows, math.prod(layout.row_shapes[index]))
    except ValueError as error:
        raise WrongInput(f"input '{layout.inputs[index].name}' {error}", layout.positions[index]) from None


def row_offsets(data: Raw, rows: int, row_values: int) -> list[int]:
    """Return where each row of a BYTES tensor begins, and where the last one ends.

    Raises ValueError when the data do not hold exactly `rows` rows of `row_values` elements.
    """
    offsets, at, end = [0], 0, len(data)
    for _ in range(rows):
        for _ in range(row_values):
            if at + 4 > end:
                raise ValueError("ends before its last element")
            at += 4 + int.from_bytes(data[at : at + 4], "little")
        offsets.append(at)
    if at != end:
        raise ValueError("does not end with its last element")
    return offsets


def join(requests: Sequence[Sequence[bytes]]) -> list[bytes]:
    """Return each tensor of several requests as one: the rows of the first request, then those of the second, …"""
    if len(requests) == 1:
        return list(requests[0])
    return [b"".join(parts) for parts in zip(*requests, strict=True)]


def slice_rows(data: Raw, row_values: int, row_bytes: int | None, counts: Sequence[int]) -> list[memoryview]:
    """Cut a tensor into pieces of `counts` rows, without copying. Raises ValueError when they do not fit."""
    view = memoryview(data)
    ends = list(accumulate(counts, initial=0))
    if row_bytes is None:
        rows = row_offsets(data, ends[-1], row_values)
        offsets = [rows[end] for end in ends]
    else:
        offsets = [end * row_bytes for end in ends]
        if offsets[-1] != len(data):
            raise ValueError("does not have the size of its rows")
    return [view[start:stop] for start, stop in pairwise(offsets)]


def piece_rows(rows: int, max_rows: int) -> list[int]:
    """Return the sizes of the pieces of a request that is larger than a batch may be: all full but the last."""
    whole, rest = divmod(rows, max_rows)
    return [max_rows] * whole + ([rest] if rest else [])


def split_inputs(layout: Layout, inputs: Sequence[bytes], pieces: Sequence[int]) -> list[list[bytes]]:
    """Return the inputs of each piece of a split request."""
    columns = [
        slice_rows(data, math.prod(shape), row_bytes, pieces)
        for data, shape, row_bytes in zip(inputs, layout.row_shapes, layout.row_bytes, strict=True)
    ]
    return [[bytes(column[index]) for column in columns] for index in range(len(pieces))]


def outputs_in_order(contract: Contract, rows: int, outputs: Sequence[OutputTensor]) -> list[OutputTensor]:
    """Return a backend's outputs in the order of the contract. Raises WrongOutput naming the one that differs."""
    by_name = {output.name: output for output in outputs}
    ordered = []
    for spec in contract.outputs:
        output = by_name.get(spec.name)
        if output is None:
            raise WrongOutput(f"output '{spec.name}' is missing")
        if output.datatype != spec.datatype:
            raise WrongOutput(f"output '{spec.name}' is {output.datatype}, declared {spec.datatype}")
        _check_shape(spec, rows, output)
        ordered.append(output)
    return ordered


def slice_output(output: OutputTensor, counts: Sequence[int]) -> list[memoryview]:
    """Cut an output into the rows of each request. Raises WrongOutput when its size is not that of its shape."""
    values = math.prod(output.shape[1:])
    row_bytes = None if output.datatype == BYTES else values * ELEMENT_BYTES[output.datatype]
    try:
        return slice_rows(output.data, values, row_bytes, counts)
    except ValueError as error:
        raise WrongOutput(f"output '{output.name}' {error}") from None


def _check_shape(spec: TensorSpec, rows: int, output: OutputTensor) -> None:
    row_shape = output.shape[1:]
    if not output.shape or output.shape[0] != rows:
        raise WrongOutput(f"output '{spec.name}' has shape {list(output.shape)} for {rows} rows")
    fits = len(row_shape) == len(spec.row_shape) and all(
        declared in (-1, size) for size, declared in zip(row_shape, spec.row_shape, strict=True)
    )
    if not fits:
        raise WrongOutput(f"output '{spec.name}' has rows of shape {list(row_shape)}, declared {list(spec.row_shape)}")
