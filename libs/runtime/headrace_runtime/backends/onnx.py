"""ONNX Runtime inside this process as a backend: the pool `cpu`, which needs no server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from headrace_runtime.backends import onnx_trial
from headrace_runtime.backends.backend import (
    USUAL_BUDGET,
    BackendLost,
    LoadBudget,
    LoadError,
    ModelError,
    ModelFiles,
)
from headrace_runtime.backends.reasons import public_reason
from headrace_runtime.contract import BYTES, BatchDimension, TensorSpec
from headrace_runtime.scheduling import give_way
from headrace_runtime.shapes import Layout, OutputTensor

_DTYPES = {
    "BOOL": np.dtype("?"), "UINT8": np.dtype("u1"), "INT8": np.dtype("i1"),
    "UINT16": np.dtype("<u2"), "INT16": np.dtype("<i2"), "FP16": np.dtype("<f2"),
    "UINT32": np.dtype("<u4"), "INT32": np.dtype("<i4"), "FP32": np.dtype("<f4"),
    "UINT64": np.dtype("<u8"), "INT64": np.dtype("<i8"), "FP64": np.dtype("<f8"),
}  # fmt: skip
_DATATYPES = {dtype: name for name, dtype in _DTYPES.items()}
_LOADING_THREADS = 4


@dataclass(frozen=True, slots=True)
class _Loaded:
    session: Any
    outputs: tuple[TensorSpec, ...]


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
        self._loaded: dict[str, _Loaded] = {}

    async def __aenter__(self) -> OnnxBackend:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._loaded.clear()
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        await asyncio.to_thread(self._loading.shutdown, wait=True, cancel_futures=True)

    async def load(self, files: ModelFiles) -> None:
        if files.device == "GPU":
            raise LoadError("the version wants a GPU, and this pool has none")
        for spec in (*files.contract.inputs, *files.contract.outputs):
            if spec.datatype not in _DTYPES and spec.datatype != BYTES:
                raise LoadError(f"tensor '{spec.name}' is {spec.datatype}, which this backend cannot run")
        # A thread cannot be ended: what is opened in one has been opened by a process with limits before.
        await onnx_trial.try_loading(files.path, self._budget)
        loop = asyncio.get_running_loop()
        session = await loop.run_in_executor(self._loading, _open_session, str(files.path))
        known = {output.name for output in session.get_outputs()}
        for spec in files.contract.outputs:
            if spec.name not in known:
                raise LoadError(f"output '{spec.name}' is not in the model")
        self._loaded[files.name] = _Loaded(session, files.contract.outputs)

    async def unload(self, name: str) -> None:
        self._loaded.pop(name, None)

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        loaded = self._loaded.get(name)
        if loaded is None:
            raise BackendLost(f"'{name}' is not loaded")
        loop = asyncio.get_running_loop()
        how = onnxruntime.RunOptions()
        try:
            return await loop.run_in_executor(self._threads, _run, loaded, layout, rows, inputs, how)
        except asyncio.CancelledError:
            how.terminate = True  # nobody waits for it; the thread is free after the node that it computes
            raise

    async def ready(self) -> bool:
        return True


def _open_session(path: str) -> Any:
    try:
        return onnx_trial.open_session(path)
    except Exception as error:  # ONNX Runtime's errors have no common class of their own
        raise LoadError(public_reason(str(error) or type(error).__name__)) from None


def _run(loaded: _Loaded, layout: Layout, rows: int, inputs: Sequence[bytes], how: Any) -> list[OutputTensor]:
    """Run one batch in the calling thread."""
    try:
        given = {
            spec.name: _to_array(data, spec.datatype, spec.shape(rows, shape))
            for spec, shape, data in zip(layout.inputs, layout.row_shapes, inputs, strict=True)
        }
        values = loaded.session.run([spec.name for spec in loaded.outputs], given, how)
    except Exception as error:  # the same; UnicodeDecodeError of BYTES is one too
        raise ModelError(public_reason(str(error) or type(error).__name__)) from None
    return [_to_output(spec, value) for spec, value in zip(loaded.outputs, values, strict=True)]


def _to_array(data: bytes, datatype: str, shape: tuple[int, ...]) -> np.ndarray:
    if datatype != BYTES:
        return np.frombuffer(data, _DTYPES[datatype]).reshape(shape)
    array, at = np.empty(math.prod(shape), dtype=np.object_), 0
    for index in range(array.size):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        array[index] = data[at + 4 : end].decode()
        at = end
    return array.reshape(shape)


def _to_output(spec: TensorSpec, value: Any) -> OutputTensor:
    name = spec.name
    if not isinstance(value, np.ndarray):
        raise ModelError(f"output '{name}' is a {type(value).__name__}, not a tensor")
    if spec.batch_dimension is BatchDimension.NONE:
        value = value[np.newaxis]
    if value.dtype == np.object_ or value.dtype.kind == "U":
        encoded = [str(element).encode() for element in value.ravel()]
        data = b"".join(len(element).to_bytes(4, "little") + element for element in encoded)
        return OutputTensor(name, BYTES, value.shape, data)
    datatype = _DATATYPES.get(value.dtype)
    if datatype is None:
        raise ModelError(f"output '{name}' is {value.dtype}, which the protocol does not have")
    return OutputTensor(name, datatype, value.shape, value.tobytes())
