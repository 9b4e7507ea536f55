"""What executions of a version take through Triton and in process, and whether they answer alike."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from headrace_runtime import examples
from headrace_runtime.backends.backend import Backend, LoadError, ModelError, ModelFiles
from headrace_runtime.backends.onnx import OnnxBackend
from headrace_runtime.expected_outputs import difference
from headrace_runtime.shapes import Layout, OutputTensor, WrongInput, WrongOutput

from headrace_batcher.decisions import compute
from headrace_batcher.decisions.compute import Choice, Seconds, Way

# Executions of each size beyond the first, and how long all of them may take.
RUNS, RUNS_S = 5, 0.1

Run = Callable[[int], Awaitable[tuple[list[OutputTensor], float]]]


@dataclass(frozen=True, slots=True)
class _Measured:
    """By rows of a batch: seconds until the outputs were there, those of a processor, and the outputs."""

    seconds: Seconds
    computing: Seconds
    outputs: Mapping[int, Sequence[OutputTensor]]


class Comparison:
    """Measures one version, with the rows of its warm-up. It is loaded on the backend; now: monotonic seconds."""

    def __init__(self, files: ModelFiles, backend: Backend, onnx: OnnxBackend, now: Callable[[], float]) -> None:
        self._files, self._backend, self._onnx, self._now = files, backend, onnx, now
        contract = files.contract
        self._sizes = compute.sizes(files.max_rows)
        self._layout: Layout = examples.layout_of(contract, contract.example)
        self._inputs = {rows: examples.rows_of(self._layout, contract.example, rows) for rows in self._sizes}

    @property
    def largest_bytes(self) -> int:
        """Return the size of the inputs of the largest batch that is measured."""
        return max(sum(map(len, inputs)) for inputs in self._inputs.values())

    async def choose(self, *, anyway: bool = False) -> Choice:
        """Return where the version is cheapest; in process it is loaded where it was tried there, else not.

        anyway: in process, whatever it takes, if it can be. Raises BackendLost.
        """
        try:
            through_backend = await self._measure(self._through_backend)
            if not anyway and (why := compute.too_long(through_backend.seconds)):
                return Choice(Way.BACKEND, why)
            await self._onnx.load(self._files, self._sizes)
            here = await self._measure(self._in_thread)
            for rows in self._sizes:
                found = difference(here.outputs[rows], through_backend.outputs[rows], rows)
                if found.over > 1.0:
                    return Choice(Way.BACKEND, f"its answers in process differ from Triton's: {found.where}")
        except (LoadError, ModelError, WrongInput, WrongOutput, OSError) as error:
            return Choice(Way.BACKEND, f"it cannot be executed in process: {error}")
        return compute.choose(through_backend.seconds, here.seconds, here.computing, anyway=anyway)

    async def _through_backend(self, rows: int) -> tuple[list[OutputTensor], float]:
        return await self._backend.infer(self._files.name, self._layout, rows, self._inputs[rows]), 0.0

    async def _in_thread(self, rows: int) -> tuple[list[OutputTensor], float]:
        return await self._onnx.run_in_thread(self._files.name, self._layout, rows, self._inputs[rows])

    async def _measure(self, run: Run) -> _Measured:
        """Return the median of what executions of each size take.

        The first of a size makes room and picks kernels: it counts only where there is no time for a second.
        """
        seconds: dict[int, float] = {}
        computing: dict[int, float] = {}
        outputs: dict[int, Sequence[OutputTensor]] = {}
        for rows in self._sizes:
            taken: list[tuple[float, float]] = []
            give_up = self._now() + RUNS_S
            while not taken or (len(taken) <= RUNS and self._now() < give_up):
                began = self._now()
                outputs[rows], computing_s = await run(rows)
                taken.append((self._now() - began, computing_s))
            seconds[rows], computing[rows] = map(statistics.median, zip(*(taken[1:] or taken), strict=True))
        return _Measured(seconds, computing, outputs)
