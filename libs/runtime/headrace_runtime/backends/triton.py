"""Triton, or any server that speaks the Open Inference Protocol with Triton's repository calls, as a backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from headrace_servicekit.http2.channel import Channel
from tritonclient.grpc import service_pb2, service_pb2_grpc

from headrace_runtime.backends.backend import (
    BackendLost,
    LoadError,
    ModelCrashed,
    ModelError,
    ModelFiles,
    Unanswered,
    check_answers_once,
)
from headrace_runtime.backends.reasons import execution_error, load_reason, public_reason
from headrace_runtime.backends.triton_repository import Repository, batched, tensor_names
from headrace_runtime.contract import TensorSpec
from headrace_runtime.shapes import Layout, OutputTensor

_pb: Any = service_pb2  # generated without type stubs

# Codes for a server that did not answer, or not in time; all others are about the model or its inputs.
_LOST = frozenset((grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED))
# The Python backend runs each instance in a separate process. When that dies, Triton stays up, fails each request of
# the version with this after a second, and never starts another.
_STUB_GONE = "Stub process"
_LIVE_TIMEOUT_S = 0.9


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What an execution needs of a contract. inputs: names in Triton of those that are called otherwise there.
    outputs: by their names in Triton."""

    batched: bool
    inputs: Mapping[str, str]
    outputs: Mapping[str, TensorSpec]


_UNKNOWN = _Loaded(True, {}, {})


class TritonBackend:
    """Loads by writing a folder and asking for it; runs a batch by one ModelInfer with raw bytes.

    execution_timeout_s: an execution that takes longer counts as lost. load_timeout_s: the same for loading. in_thread:
    runs what blocks.
    """

    load_control = True

    def __init__(
        self,
        channel: Channel,
        repository: Repository,
        *,
        execution_timeout_s: float,
        load_timeout_s: float,
        in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread,
    ) -> None:
        self._stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._repository = repository
        self._execution_timeout_s = execution_timeout_s
        self._load_timeout_s = load_timeout_s
        self._in_thread = in_thread
        # Of each version that was loaded; one that is loaded again answers as before meanwhile.
        self._loaded: dict[str, _Loaded] = {}
        # Those that should be there when they are asked for.
        self._missed: set[str] = set()

    async def load(self, files: ModelFiles) -> None:
        check_answers_once(files.contract)
        self._missed.discard(files.name)  # it does not count as missing before it is loaded
        await self._in_thread(self._repository.write, files)
        request = _pb.RepositoryModelLoadRequest(model_name=files.name)
        try:
            await self._stub.RepositoryModelLoad(request, timeout=self._load_timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise BackendLost(str(error.details())) from None
            if _STUB_GONE in (error.details() or ""):
                # The kernel ends it at the limit of its processor time, or it crashed: Triton does not know which.
                limit = f"used more of a processor than it may{self._repository.budget.setting('LOAD_CPU_S')}"
                raise LoadError(f"the process that loaded it {limit}, or crashed") from None
            raise LoadError(load_reason(error.details() or error.code().name, self._repository.budget)) from None
        self._loaded[files.name] = _loaded(files)
        self._missed.add(files.name)

    async def unload(self, name: str) -> None:
        self._loaded.pop(name, None)
        self._missed.discard(name)
        request = _pb.RepositoryModelUnloadRequest(model_name=name)
        try:
            await self._stub.RepositoryModelUnload(request, timeout=self._load_timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() in _LOST:
                raise BackendLost(str(error.details())) from None
            raise LoadError(_reason(error)) from None
        finally:
            await self._in_thread(self._repository.remove, name)

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        loaded = self._loaded.get(name, _UNKNOWN)
        request = _pb.ModelInferRequest(model_name=name, raw_input_contents=inputs)
        for spec, row_shape in zip(layout.inputs, layout.row_shapes, strict=True):
            # Triton wants a dimension beside the rows: see triton_repository.
            shape = (rows, *(row_shape or (1,))) if loaded.batched else spec.shape(rows, row_shape) or (1,)
            there = loaded.inputs.get(spec.name, spec.name)
            request.inputs.add(name=there, datatype=spec.datatype, shape=shape)
        try:
            answer = await self._stub.ModelInfer(request, timeout=self._execution_timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from None
        outputs = []
        for output, data in zip(answer.outputs, answer.raw_output_contents, strict=False):
            spec, shape = loaded.outputs.get(output.name), tuple(output.shape)
            if spec is None:
                outputs.append(OutputTensor(output.name, output.datatype, shape, data))
            else:
                outputs.append(OutputTensor(spec.name, output.datatype, spec.rows_first(shape), data))
        return outputs

    async def ready(self) -> bool:
        try:
            # Not ServerReady, which is false while any one version failed to load.
            answer = await self._stub.ServerLive(_pb.ServerLiveRequest(), timeout=_LIVE_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise BackendLost(str(error.details())) from None
        return answer.live

    async def holds_all(self) -> bool:
        """Return whether Triton still has every version that was loaded: one that restarted has none.

        What it has not is forgotten, so that it is missed once.
        """
        try:
            index = await self._stub.RepositoryIndex(_pb.RepositoryIndexRequest(ready=True), timeout=_LIVE_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise BackendLost(str(error.details())) from None
        lost = self._missed - {model.name for model in index.models}
        self._missed -= lost
        return not lost


def _loaded(files: ModelFiles) -> _Loaded:
    names = tensor_names(files.kept_as, files.contract)
    inputs = zip(files.contract.inputs, names.inputs, strict=True)
    return _Loaded(
        batched(files.kept_as, files.contract),
        {spec.name: name for spec, name in inputs if spec.name != name},
        dict(zip(names.outputs, files.contract.outputs, strict=True)),
    )


def _failure(error: grpc.aio.AioRpcError) -> BackendLost | ModelError:
    """Return what a failed execution says of the backend."""
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unanswered(str(error.details()))
    if error.code() in _LOST:
        return BackendLost(str(error.details()))
    if error.code() is grpc.StatusCode.NOT_FOUND or _STUB_GONE in (error.details() or ""):
        return ModelCrashed(_reason(error))
    return execution_error(error.details() or error.code().name)


def _reason(error: grpc.aio.AioRpcError) -> str:
    return public_reason(error.details() or error.code().name)
