"""Synthetic rows for probes: the example of a model's contract, or zeros."""

from __future__ import annotations

import math

from headrace_runtime import shapes
from headrace_runtime.contract import BYTES, Contract, Example
from headrace_runtime.shapes import Layout, ShapeKey


def layout_of(contract: Contract, example: Example) -> Layout:
    """Return the layout of an example: every input is there. Raises WrongInput when it does not fit the contract."""
    variable = sum(spec.row_shape.count(-1) for spec in contract.inputs)
    return shapes.layout_of(contract, ShapeKey((), example.dims or (1,) * variable))


def rows_of(layout: Layout, example: Example, rows: int) -> list[bytes]:
    """Return an example as that many rows that are the same."""
    if example.inputs:
        return [data * rows for data in example.inputs]
    sizes = []
    for spec, shape, row_bytes in zip(layout.inputs, layout.row_shapes, layout.row_bytes, strict=True):
        # An empty text is its length: four bytes of zero.
        sizes.append(4 * math.prod(shape) if spec.datatype == BYTES else row_bytes or 0)
    return [bytes(rows * size) for size in sizes]
