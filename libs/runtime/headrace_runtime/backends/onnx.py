"""ONNX Runtime inside this process as a backend: the pool `cpu`, which needs no server."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from headrace_runtime.scheduling import give_way
from headrace_runtime.shapes import Layout, OutputTensor, Raw

_LOADING_THREADS = 4
# Files that a process with limits has loaded need no second one when they are loaded again.
_MAX_TRIED = 4096


class OnnxBackend:
    """Runs batches in a bounded pool of threads; ONNX Runtime lets go of the interpreter's lock while it computes.

    threads: 0 runs them in the thread of the caller, who has nothing else to do meanwhile, and cannot be cancelled.
    """

    load_control = True

    def __init__(self, *, threads: int, budget: LoadBudget = USUAL_BUDGET) -> None:
        self._budget = budget
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="onnxruntime") if threads else None
        # Loading has threads of its own, so that it never stands before an execution.
        self._loading = ThreadPoolExecutor(
            _LOADING_THREADS, thread_name_prefix="onnxruntime-load", initializer=give_way
        )
        self._loaded: dict[str, OnnxSession] = {}
        self._tried: set[tuple[Path, int, int]] = set()

    async def __aenter__(self) -> OnnxBackend:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._loaded.clear()
        if self._threads is not None:
            await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        await asyncio.to_thread(self._loading.shutdown, wait=True, cancel_futures=True)

    async def load(self, files: ModelFiles) -> None:
        if files.device == "GPU":
            raise LoadError("the version wants a GPU, and this pool has none")
        check_answers_once(files.contract)
        onnx_session.check_datatypes(files.contract)
        await self._try(files.path)
        loop = asyncio.get_running_loop()
        self._loaded[files.name] = await loop.run_in_executor(self._loading, _load, files)

    async def _try(self, path: Path) -> None:
        """Have a file opened by a process with limits, once: a thread in which it is opened afterwards cannot be ended.
        Raises LoadError."""
        status = os.stat(path)
        file = path, status.st_ino, status.st_size  # what is fetched is never written to in its place
        if file in self._tried:
            return
        await onnx_trial.try_loading(path, self._budget)
        if len(self._tried) >= _MAX_TRIED:
            self._tried.clear()
        self._tried.add(file)

    async def unload(self, name: str) -> None:
        if (session := self._loaded.pop(name, None)) is not None:
            loop, holding = asyncio.get_running_loop(), [session]
            del session
            await loop.run_in_executor(self._loading, _end, holding)

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[Raw]) -> list[OutputTensor]:
        loaded = self._loaded.get(name)
        if loaded is None:
            raise BackendLost(f"'{name}' is not loaded")
        if self._threads is None:
            return onnx_session.run(loaded, layout, rows, inputs)
        loop = asyncio.get_running_loop()
        how = onnxruntime.RunOptions()
        try:
            return await loop.run_in_executor(self._threads, onnx_session.run, loaded, layout, rows, inputs, how)
        except asyncio.CancelledError:
            how.terminate = True  # nobody waits for it; the thread is free after the node that it computes
            raise

    async def ready(self) -> bool:
        return True


def _load(files: ModelFiles) -> OnnxSession:
    try:
        return onnx_session.load(str(files.path), files.contract)
    finally:
        _return_pages()


def _end(holding: list[OnnxSession]) -> None:
    """End a session in this thread: that takes a while."""
    holding.clear()
    _return_pages()


def _return_pages() -> None:
    """Have the C library give back what reading a model took, and what a session had: it would keep most of it."""
    with contextlib.suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
