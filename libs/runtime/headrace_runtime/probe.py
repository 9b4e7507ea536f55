"""Executions of synthetic rows: to warm a version up, and to check that it answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing

from headrace_runtime import examples, shapes
from headrace_runtime.backends.backend import Backend, LoadError, ModelError, stream
from headrace_runtime.contract import Contract
from headrace_runtime.shapes import OutputTensor

# Sizes whose first execution takes longer than this are not run a second time to be measured.
_SLOW_S = 0.1


async def _at_once() -> None:
    """Do not pause before an execution."""


class Probe:
    """Runs rows of the contract's example, or of zeros, through one version.

    name: of the version on the backend, as in `ModelFiles`.
    """

    def __init__(
        self, backend: Backend, name: str, contract: Contract, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._backend = backend
        self._name = name
        self._contract = contract
        self._now = now
        self._layout = examples.layout_of(contract, contract.example)

    async def warm_up(
        self,
        sizes: Iterable[int],
        *,
        measured: Callable[[int, float], None] = lambda rows, seconds: None,
        pause: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        """Run batches of these sizes, the smallest first; the answers must be what the contract declares.

        measured: called with the rows and seconds of each. pause: awaited before each execution. Raises LoadError,
        WrongOutput, BackendLost.
        """
        for rows in sorted(set(sizes)):
            try:
                await pause()
                seconds = await self.run(rows)
                if seconds < _SLOW_S:
                    # The first execution of a size makes room and picks kernels: it says little of the next ones.
                    await pause()
                    seconds = await self.run(rows)
            except ModelError as error:
                what = "its example" if self._contract.example.inputs else "zeros"
                raise LoadError(f"the model fails on {rows} rows of {what}: {error}") from None
            measured(rows, seconds)

    async def run(self, rows: int) -> float:
        """Run one batch and check its answer, the first one of a version that answers in parts; return how long it
        took, in seconds.

        Raises ModelError, WrongOutput, BackendLost.
        """
        inputs = examples.rows_of(self._layout, self._contract.example, rows)
        started = self._now()
        outputs = await self._outputs(rows, inputs)
        seconds = self._now() - started
        if outputs is None:
            return seconds
        for output in shapes.outputs_in_order(self._contract, rows, outputs):
            shapes.slice_output(output, [rows])
        return seconds

    async def _outputs(self, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor] | None:
        if not self._contract.decoupled:
            return await self._backend.infer(self._name, self._layout, rows, inputs)
        async with aclosing(stream(self._backend, self._name, self._layout, rows, inputs)) as parts:
            return await anext(parts, None)
