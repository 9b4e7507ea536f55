"""ONNX Runtime inside this process as a backend: the pool `cpu`, which needs no server."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import onnxruntime

from headrace_runtime.backends import onnx_session, onnx_trial
from headrace_runtime.backends.backend import (
    USUAL_BUDGET,
    BackendLost,
    LoadBudget,
    LoadError,
    ModelFiles,
    check_answers_once,
)
from headrace_runtime.backends.onnx_session import OnnxSession
from headrace_runtime.shapes import Layout, OutputTensor, Raw
from headrace_runtime.thread_priority import give_way

_LOADING_THREADS = 4
# Files that a process with limits has loaded need no second one when they are loaded again.
_MAX_TRIED = 4096


class Observer(Protocol):
    """Sees which native code runs, in whatever thread it does. Neither may raise or wait."""

    def begin(self, name: str) -> int:
        """Note that a version is loaded or executed; return a number for `end`."""
        ...

    def end(self, number: int) -> None:
        """Note the end of that."""
        ...


class _Nobody:
    def begin(self, name: str) -> int:
        return 0

    def end(self, number: int) -> None: ...


class OnnxBackend:
    """Runs batches in a bounded pool of threads; ONNX Runtime releases the GIL while it computes.

    threads: 0 runs them in the caller's thread, which they block, and cannot be cancelled.
    """

    load_control = True

    def __init__(self, *, threads: int, budget: LoadBudget = USUAL_BUDGET, observer: Observer | None = None) -> None:
        self._budget = budget
        self._observer = observer or _Nobody()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="onnxruntime") if threads else None
        # Loading has threads of its own, so that it never stands before an execution.
        self._loading = ThreadPoolExecutor(
            _LOADING_THREADS, thread_name_prefix="onnxruntime-load", initializer=give_way
        )
        self._loaded: dict[str, OnnxSession] = {}
        self._tried: set[tuple[Path, int, int, tuple[int, ...]]] = set()

    async def __aenter__(self) -> OnnxBackend:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._loaded.clear()
        if self._threads is not None:
            await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        await asyncio.to_thread(self._loading.shutdown, wait=True, cancel_futures=True)

    async def load(self, files: ModelFiles, run: tuple[int, ...] = ()) -> None:
        """As `Backend.load`. run: rows of batches of the example that the process with limits runs as well."""
        if files.device == "GPU":
            raise LoadError("the version wants a GPU, and this pool has none")
        check_answers_once(files.contract)
        onnx_session.check_datatypes(files.contract)
        await self._try(files, run)
        loop = asyncio.get_running_loop()
        self._loaded[files.name] = await loop.run_in_executor(self._loading, self._load, files)

    async def _try(self, files: ModelFiles, run: tuple[int, ...]) -> None:
        """Have a file opened by a process with limits, once: a thread in which it is opened afterwards cannot be ended.
        Raises LoadError."""
        status = os.stat(files.path)
        # What is fetched is never written to in its place.
        file = files.path, status.st_ino, status.st_size, run
        if file in self._tried:
            return
        rows = onnx_trial.Rows(files.contract, run) if run else None
        await onnx_trial.try_loading(files.path, self._budget, rows)
        if len(self._tried) >= _MAX_TRIED:
            self._tried.clear()
        self._tried.add(file)

    async def unload(self, name: str) -> None:
        if (session := self._loaded.pop(name, None)) is not None:
            loop, holding = asyncio.get_running_loop(), [session]
            del session
            await loop.run_in_executor(self._loading, _end, holding)

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[Raw]) -> list[OutputTensor]:
        if self._threads is None:
            return self.run(name, layout, rows, inputs)[0]
        return (await self.run_in_thread(name, layout, rows, inputs))[0]

    async def run_in_thread(
        self, name: str, layout: Layout, rows: int, inputs: Sequence[Raw]
    ) -> tuple[list[OutputTensor], float]:
        """As `run`, in a thread of the pool. When this is cancelled, the thread is free after the node that it
        computes."""
        loop, how = asyncio.get_running_loop(), onnxruntime.RunOptions()
        try:
            return await loop.run_in_executor(self._threads, self.run, name, layout, rows, inputs, how)
        except asyncio.CancelledError:
            how.terminate = True
            raise

    def run(
        self, name: str, layout: Layout, rows: int, inputs: Sequence[Raw], how: onnxruntime.RunOptions | None = None
    ) -> tuple[list[OutputTensor], float]:
        """Run one batch in the calling thread; return the outputs, and the seconds of a processor that it took.

        how: by which another thread can end it. Raises ModelError, BackendLost.
        """
        loaded = self._loaded.get(name)
        if loaded is None:
            raise BackendLost(f"'{name}' is not loaded")
        number, began = self._observer.begin(name), time.thread_time()
        try:
            outputs = onnx_session.run(loaded, layout, rows, inputs, how)
        finally:
            self._observer.end(number)
        return outputs, time.thread_time() - began

    async def ready(self) -> bool:
        return True

    def _load(self, files: ModelFiles) -> OnnxSession:
        number = self._observer.begin(files.name)
        try:
            return onnx_session.load(str(files.path), files.contract)
        finally:
            self._observer.end(number)
            _return_pages()


def _end(holding: list[OnnxSession]) -> None:
    """End a session in this thread: that takes a while."""
    holding.clear()
    _return_pages()


def _return_pages() -> None:
    """Have the C library give back what reading a model took, and what a session had: it would keep most of it."""
    with contextlib.suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
