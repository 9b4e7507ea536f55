"""Padding the rows of requests to common sizes, and cutting their answers back.

Only versions whose serving settings say so have a `Padder`; for the others nothing here runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from headrace_runtime.backends.onnx_session import DTYPES
from headrace_runtime.contract import ELEMENT_BYTES, Contract
from headrace_runtime.shapes import Layout, OutputTensor, Raw, ShapeKey

from headrace_batcher.decisions.padded_sizes import (
    MOST_BYTES,
    Padding,
    Plan,
    plan,
)
from headrace_batcher.decisions.work import Work
from headrace_batcher.encoder import RowShapes
from headrace_batcher.metrics import BatchCounters

_MAX_PLANS = 1024
# Bits are moved, whatever they mean.
_MOVED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


class Padder:
    """Pads requests of one version."""

    def __init__(self, padding: Padding, contract: Contract, counters: BatchCounters) -> None:
        self._padding = padding
        self._values = dict(padding.values)
        self._answers_vary = any(-1 in spec.row_shape for spec in contract.outputs)
        self._counters = counters
        self._plans: dict[tuple[int, ...], Plan | None] = {}

    def pad(self, work: Work, layout: Layout, layout_of: Callable[[ShapeKey], Layout]) -> Layout:
        """Pad the checked inputs of a request with a layout, unless they stay as they are; return their layout then."""
        planned = self._planned(work.key.dims)
        if planned is None:
            return layout
        key = ShapeKey(work.key.absent, planned.dims)
        after = layout_of(key)
        if work.rows * sum(size or 0 for size in after.row_bytes) > MOST_BYTES:
            return layout
        padded = [
            data if old == new else self._padded(spec.name, DTYPES[spec.datatype], data, (work.rows, *old), new)
            for spec, old, new, data in zip(after.inputs, layout.row_shapes, after.row_shapes, work.inputs, strict=True)
        ]
        size = sum(map(len, padded))
        self._counters.padded_bytes += size
        self._counters.padding_bytes += size - work.size_bytes
        work.key, work.inputs, work.size_bytes, work.cut = key, padded, size, planned.cut
        return after

    def _planned(self, dims: tuple[int, ...]) -> Plan | None:
        """Return what becomes of requests with such sizes, None when they stay as they are."""
        if dims not in self._plans:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            self._plans[dims] = plan(self._padding, dims, answers_vary=self._answers_vary)
        return self._plans[dims]

    def _padded(self, name: str, dtype: np.dtype, data: Raw, shape: tuple[int, ...], row: tuple[int, ...]) -> bytes:
        whole = np.full((shape[0], *row), self._values.get(name, 0), dtype)
        whole[tuple(map(slice, shape))] = np.frombuffer(data, dtype).reshape(shape)
        return whole.tobytes()


def cut_back(
    contract: Contract,
    outputs: Sequence[OutputTensor],
    rows: int,
    values: Sequence[Raw],
    cut: Sequence[tuple[int, int]],
) -> tuple[RowShapes, list[Raw]]:
    """Return the shapes and values of a request's rows without what its padding was answered by."""
    sizes = dict(cut)
    shapes: list[tuple[int, ...]] = []
    kept: list[Raw] = []
    for spec, output, data in zip(contract.outputs, outputs, values, strict=True):
        padded = output.shape[1:]
        shape = tuple(
            sizes.get(size, size) if declared == -1 else size
            for size, declared in zip(padded, spec.row_shape, strict=True)
        )
        shapes.append(shape)
        if shape == padded:
            kept.append(data)
            continue
        whole = np.frombuffer(data, _MOVED[ELEMENT_BYTES[spec.datatype]]).reshape(rows, *padded)
        kept.append(whole[(slice(None), *map(slice, shape))].tobytes())
    return tuple(shapes), kept
