"""Executions of rows that nobody sent: to warm a version up, and to see that it answers, at first and later."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from headrace_batcher.backends.backend import Backend, LoadError, ModelError
from headrace_batcher.batching import shapes
from headrace_batcher.batching.contract import BYTES
from headrace_batcher.batching.service_times import ServiceTimes
from headrace_batcher.batching.shapes import Layout, ShapeKey
from headrace_batcher.loading.lifecycle import Wanted

# Sizes whose first execution takes longer than this are not run a second time to be measured.
_SLOW_S = 0.1


class Probe:
    """Runs rows of zeros through one version."""

    def __init__(self, backend: Backend, wanted: Wanted, now: Callable[[], float]) -> None:
        self._backend = backend
        self._wanted = wanted
        self._now = now
        self._layout = _layout(wanted)

    async def warm_up(self, service_times: ServiceTimes, rest: Callable[[], Awaitable[None]]) -> None:
        """Run the sizes that batches will have; the answers must be what is declared.

        rest: awaited before each execution. Raises LoadError, WrongOutput, BackendLost.
        """
        limits = self._wanted.limits
        for rows in sorted({1, *limits.preferred_rows, limits.max_rows}):
            try:
                await rest()
                seconds = await self.run(rows)
                if seconds < _SLOW_S:
                    # The first execution of a size makes room and picks kernels: it says little of the next ones.
                    await rest()
                    seconds = await self.run(rows)
            except ModelError as error:
                raise LoadError(f"the model fails on {rows} rows of zeros: {error}") from None
            service_times.observe(rows, seconds, self._now())

    async def run(self, rows: int) -> float:
        """Run one batch and check its answer; return how long it took, in seconds.

        Raises ModelError, WrongOutput, BackendLost.
        """
        inputs = _zeros(self._layout, rows)
        started = self._now()
        outputs = await self._backend.infer(self._wanted.name, self._layout, rows, inputs)
        seconds = self._now() - started
        for output in shapes.outputs_in_order(self._wanted.contract, rows, outputs):
            shapes.slice_output(output, [rows])
        return seconds


def _layout(wanted: Wanted) -> Layout:
    """Return the layout of a request with every input, whose variable dimensions are 1."""
    variable = sum(spec.row_shape.count(-1) for spec in wanted.contract.inputs)
    return shapes.layout_of(wanted.contract, ShapeKey((), (1,) * variable))


def _zeros(layout: Layout, rows: int) -> list[bytes]:
    """Return that many rows of zeros, of empty texts for BYTES."""
    sizes = []
    for spec, shape, row_bytes in zip(layout.inputs, layout.row_shapes, layout.row_bytes, strict=True):
        # An empty text is its length: four bytes of zero.
        sizes.append(4 * math.prod(shape) if spec.datatype == BYTES else row_bytes or 0)
    return [bytes(rows * size) for size in sizes]
