"""ONNX Runtime inside this process as a backend: the pool `cpu`, which needs no server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import onnxruntime

from headrace_runtime.backends import onnx_session, onnx_trial
from headrace_runtime.backends.backend import (
    USUAL_BUDGET,
    BackendLost,
    LoadBudget,
    LoadError,
    ModelFiles,
)
from headrace_runtime.backends.onnx_session import OnnxSession
from headrace_runtime.scheduling import give_way
from headrace_runtime.shapes import Layout, OutputTensor

_LOADING_THREADS = 4


class OnnxBackend:
    """Runs batches in a bounded pool of threads; ONNX Runtime lets go of the interpreter's lock while it computes."""

    load_control = True

    def __init__(self, *, threads: int, budget: LoadBudget = USUAL_BUDGET) -> None:
        self._budget = budget
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="onnxruntime")
        # Loading has threads of its own, so that it never stands before an execution.
        self._loading = ThreadPoolExecutor(
            _LOADING_THREADS, thread_name_prefix="onnxruntime-load", initializer=give_way
        )
        self._loaded: dict[str, OnnxSession] = {}

    async def __aenter__(self) -> OnnxBackend:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._loaded.clear()
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        await asyncio.to_thread(self._loading.shutdown, wait=True, cancel_futures=True)

    async def load(self, files: ModelFiles) -> None:
        if files.device == "GPU":
            raise LoadError("the version wants a GPU, and this pool has none")
        onnx_session.check_datatypes(files.contract)
        # A thread cannot be ended: what is opened in one has been opened by a process with limits before.
        await onnx_trial.try_loading(files.path, self._budget)
        loop = asyncio.get_running_loop()
        self._loaded[files.name] = await loop.run_in_executor(
            self._loading, onnx_session.load, str(files.path), files.contract
        )

    async def unload(self, name: str) -> None:
        self._loaded.pop(name, None)

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        loaded = self._loaded.get(name)
        if loaded is None:
            raise BackendLost(f"'{name}' is not loaded")
        loop = asyncio.get_running_loop()
        how = onnxruntime.RunOptions()
        try:
            return await loop.run_in_executor(self._threads, onnx_session.run, loaded, layout, rows, inputs, how)
        except asyncio.CancelledError:
            how.terminate = True  # nobody waits for it; the thread is free after the node that it computes
            raise

    async def ready(self) -> bool:
        return True
