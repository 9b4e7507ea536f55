"""Executions on the event loop: so many in one of its iterations, and none for long."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence

import onnxruntime
from headrace_runtime.backends.backend import ModelError
from headrace_runtime.backends.onnx import OnnxBackend
from headrace_runtime.shapes import Layout, OutputTensor

# What executions may take of one iteration of the event loop: frames come and go between them.
ITERATION_S = 0.002
# A model whose loops the values of a request decide may compute for ever: it is ended after one to two times this.
WATCH_S = 0.003


class TakesTooLong(Exception):
    """An execution was ended because the event loop waited for it."""


class InlineRuns:
    """Runs batches in the thread of the event loop, watched by another one."""

    def __init__(self, onnx: OnnxBackend) -> None:
        self._onnx = onnx
        self._spent_s = 0.0
        self._next_iteration = asyncio.Event()
        self._number = 0
        self._running: onnxruntime.RunOptions | None = None
        # Set while there are executions: the watching thread sleeps otherwise.
        self._watching = threading.Event()
        self._closed = False

    @contextlib.contextmanager
    def watched(self) -> Iterator[InlineRuns]:
        """End what takes too long while the block lasts."""
        thread = threading.Thread(target=self._watch, name="inline watch", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._closed = True
            self._watching.set()
            thread.join()

    async def run(
        self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]
    ) -> tuple[list[OutputTensor], float]:
        """As `OnnxBackend.run`, in this iteration of the loop or a later one.

        Raises ModelError, BackendLost, TakesTooLong.
        """
        while self._spent_s >= ITERATION_S:
            await self._next_iteration.wait()
        how = onnxruntime.RunOptions()
        self._running = how
        self._number += 1  # after it: who sees this number sees what runs
        if not self._watching.is_set():
            self._watching.set()
        began = time.thread_time()
        try:
            return self._onnx.run(name, layout, rows, inputs, how)
        except ModelError:
            if how.terminate:
                raise TakesTooLong from None
            raise
        finally:
            self._running = None
            if not self._spent_s:
                self._next_iteration.clear()
                asyncio.get_running_loop().call_soon(self._begin_iteration)
            self._spent_s += time.thread_time() - began

    def _begin_iteration(self) -> None:
        self._spent_s = 0.0
        self._next_iteration.set()

    def _watch(self) -> None:
        while not self._closed:
            self._watching.wait()
            number, running = self._number, self._running
            time.sleep(WATCH_S)
            if self._number != number:
                continue
            if running is not None:
                running.terminate = True
                continue
            self._watching.clear()
            if self._number != number:  # one began before it could see that watching ended
                self._watching.set()
