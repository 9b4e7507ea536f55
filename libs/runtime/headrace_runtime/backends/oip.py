"""Any server that speaks the Open Inference Protocol and loads its models itself, such as MLServer, as a backend.

Nothing is loaded or unloaded here: a version answers once the server's operator has deployed it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import numpy as np
from headrace_servicekit.http2.calls import END_OF_STREAM
from headrace_servicekit.http2.channel import Channel
from tritonclient.grpc import service_pb2

from headrace_runtime.backends.backend import BackendLost, LoadError, ModelCrashed, ModelError, ModelFiles
from headrace_runtime.backends.reasons import execution_error, public_reason
from headrace_runtime.contract import BYTES, Contract, TensorSpec
from headrace_runtime.shapes import Layout, OutputTensor

_pb: Any = service_pb2  # generated without type stubs

SERVICE = "inference.GRPCInferenceService"
_METHODS = ("ServerLive", "ModelReady", "ModelMetadata", "ModelConfig", "ModelInfer")
# Of one of several responses: whether it is the last; and what asks for an empty one where the last part was not that.
_FINAL, _EMPTY_FINAL = "triton_final_response", "triton_enable_empty_final_response"
_LOST = frozenset((grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED))
_LIVE_TIMEOUT_S = 0.9
_ASK_TIMEOUT_S = 5.0

# Where typed contents of an answer are, and how they look as raw bytes.
_TYPED = {
    "BOOL": ("bool_contents", "?"), "INT8": ("int_contents", "i1"), "INT16": ("int_contents", "<i2"),
    "INT32": ("int_contents", "<i4"), "INT64": ("int64_contents", "<i8"), "UINT8": ("uint_contents", "u1"),
    "UINT16": ("uint_contents", "<u2"), "UINT32": ("uint_contents", "<u4"), "UINT64": ("uint64_contents", "<u8"),
    "FP32": ("fp32_contents", "<f4"), "FP64": ("fp64_contents", "<f8"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServerNames:
    """What a version is called on the server, as templates with {model} and {version}. An empty version is left out."""

    model: str = "{model}--{version}"
    version: str = ""

    def of(self, name: str) -> tuple[str, str]:
        """Return model and version there of a version's own name, `{model}--{version}`."""
        model, _, version = name.partition("--")
        return self.model.format(model=model, version=version), self.version.format(model=model, version=version)


@dataclass(frozen=True, slots=True)
class _There:
    """A version as the server has it. columns: inputs of one value per row that it wants with a dimension for that."""

    model: str
    version: str
    columns: frozenset[str]
    outputs: Mapping[str, TensorSpec]


class OipBackend:
    """Runs a batch by one ModelInfer with raw bytes.

    service: full name of the gRPC service there; TorchServe has the protocol under a name of its own. service_setting:
    what sets that, for messages.
    execution_timeout_s: an execution that takes longer counts as lost.
    """

    load_control = False

    def __init__(
        self,
        channel: Channel,
        *,
        names: ServerNames,
        execution_timeout_s: float,
        service: str = SERVICE,
        service_setting: str = "service",
    ) -> None:
        self._call = {
            method: channel.unary_unary(
                f"/{service}/{method}",
                request_serializer=getattr(_pb, f"{method}Request").SerializeToString,
                response_deserializer=getattr(_pb, f"{method}Response").FromString,
            )
            for method in _METHODS
        }
        # Of streams, of which each has one request here.
        self._stream = channel.unary_stream(
            f"/{service}/ModelStreamInfer",
            request_serializer=_pb.ModelInferRequest.SerializeToString,
            response_deserializer=_pb.ModelStreamInferResponse.FromString,
        )
        self._names = names
        self._service = service
        self._service_setting = service_setting
        self._execution_timeout_s = execution_timeout_s
        self._there: dict[str, _There] = {}

    async def load(self, files: ModelFiles) -> None:
        """Find a version on the server; raises LoadError when it does not have it, or not what was registered."""
        model, version = self._names.of(files.name)
        known_as = f"'{model}'" + (f", version '{version}'" if version else "")
        if not await self._has(model, version):
            raise LoadError(f"the server does not have it: nothing is ready as {known_as}")
        metadata = await self._metadata(model, version)
        if metadata is not None:
            _check(files.contract, metadata, known_as)
        if not files.contract.decoupled and await self._is_decoupled(model, version):
            raise LoadError(f"the server's {known_as} answers in parts (decoupled), and the contract does not say so")
        ranks = {} if metadata is None else {one.name: len(one.shape) for one in metadata.inputs}
        self._there[files.name] = _There(
            model,
            version,
            frozenset(spec.name for spec in files.contract.inputs if not spec.row_shape and ranks.get(spec.name) == 2),
            {spec.name: spec for spec in files.contract.outputs},
        )

    async def unload(self, name: str) -> None:
        """Forget a version; the server keeps it."""
        self._there.pop(name, None)

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        there, request = self._request(name, layout, rows, inputs)
        try:
            answer = await self._call["ModelInfer"](request, timeout=self._execution_timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from None
        return _outputs(answer, there)

    async def stream(
        self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]
    ) -> AsyncGenerator[list[OutputTensor], None]:
        there, request = self._request(name, layout, rows, inputs)
        request.parameters[_EMPTY_FINAL].bool_param = True
        call, final = self._stream(request), False
        try:
            while not final:
                async with asyncio.timeout(self._execution_timeout_s):
                    message = await call.read()
                if message is END_OF_STREAM:  # servers that are not Triton just end
                    break
                if message.error_message:
                    raise execution_error(message.error_message)
                response = message.infer_response
                final = response.parameters[_FINAL].bool_param
                if response.outputs:
                    yield _outputs(response, there)
        except TimeoutError:
            raise BackendLost(f"no part came within {self._execution_timeout_s:g} s") from None
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from None
        finally:
            call.cancel()

    def _request(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> tuple[_There, Any]:
        there = self._there.get(name)
        if there is None:
            raise BackendLost(f"'{name}' was not found on the server yet")
        request = _pb.ModelInferRequest(model_name=there.model, model_version=there.version, raw_input_contents=inputs)
        for spec, row_shape in zip(layout.inputs, layout.row_shapes, strict=True):
            shape = (rows, 1) if spec.name in there.columns else spec.shape(rows, row_shape)
            request.inputs.add(name=spec.name, datatype=spec.datatype, shape=shape)
        return there, request

    async def ready(self) -> bool:
        try:
            # Not ServerReady, which is false while any one model is not.
            answer = await self._call["ServerLive"](_pb.ServerLiveRequest(), timeout=_LIVE_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise BackendLost(f"the server has no '{self._service}': see {self._service_setting}") from None
            raise BackendLost(str(error.details())) from None
        return answer.live

    async def holds_all(self) -> bool:
        """Return whether the server has what was found there: if it restarts, it has its models again by itself."""
        return True

    async def _has(self, model: str, version: str) -> bool:
        request = _pb.ModelReadyRequest(name=model, version=version)
        try:
            return (await self._call["ModelReady"](request, timeout=_ASK_TIMEOUT_S)).ready
        except grpc.aio.AioRpcError as error:
            if error.code() in _LOST:
                raise BackendLost(str(error.details())) from None
            return False  # servers differ in how they say that there is none

    async def _metadata(self, model: str, version: str) -> Any | None:
        """Return what the server says of a model, None when it says nothing: models may leave it out."""
        request = _pb.ModelMetadataRequest(name=model, version=version)
        try:
            return await self._call["ModelMetadata"](request, timeout=_ASK_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() in _LOST:
                raise BackendLost(str(error.details())) from None
            return None

    async def _is_decoupled(self, model: str, version: str) -> bool:
        """Return whether a model answers in parts, which Triton alone says."""
        request = _pb.ModelConfigRequest(name=model, version=version)
        try:
            answer = await self._call["ModelConfig"](request, timeout=_ASK_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() in _LOST:
                raise BackendLost(str(error.details())) from None
            return False
        return answer.config.model_transaction_policy.decoupled


def _failure(error: grpc.aio.AioRpcError) -> Exception:
    """Return what a failed call says of the version."""
    if error.code() in _LOST:
        return BackendLost(str(error.details()))
    if error.code() is grpc.StatusCode.NOT_FOUND:
        return ModelCrashed("the server does not have it any more")
    return execution_error(error.details() or error.code().name)


def _check(contract: Contract, metadata: Any, known_as: str) -> None:
    """Raise LoadError when what the server says of a model is not what the version declares."""
    for kind, specs, said in (
        ("input", contract.inputs, metadata.inputs),
        ("output", contract.outputs, metadata.outputs),
    ):
        datatypes = {one.name: one.datatype for one in said}
        for spec in specs if datatypes else ():
            if spec.name not in datatypes:
                raise LoadError(f"the server's {known_as} has no {kind} '{spec.name}'")
            if datatypes[spec.name] != spec.datatype:
                raise LoadError(
                    f"{kind} '{spec.name}' of the server's {known_as} is {datatypes[spec.name]}, not {spec.datatype}"
                )


def _outputs(answer: Any, there: _There) -> list[OutputTensor]:
    return [_output(answer, at, there.outputs) for at in range(len(answer.outputs))]


def _output(answer: Any, at: int, specs: Mapping[str, TensorSpec]) -> OutputTensor:
    output = answer.outputs[at]
    spec, shape = specs.get(output.name), tuple(output.shape)
    if spec is not None:
        shape = spec.rows_first(shape)
    raw = answer.raw_output_contents
    data = raw[at] if at < len(raw) else _raw(output)
    return OutputTensor(output.name, output.datatype, shape, data)


def _raw(output: Any) -> bytes:
    """Return typed contents as raw bytes."""
    if output.datatype == BYTES:
        return b"".join(len(one).to_bytes(4, "little") + one for one in output.contents.bytes_contents)
    if output.datatype not in _TYPED:
        raise ModelError(f"output '{output.name}' is {output.datatype} and not in raw bytes")
    field, dtype = _TYPED[output.datatype]
    try:
        values = np.array(getattr(output.contents, field), dtype=dtype)
    except OverflowError:
        raise ModelError(f"output '{output.name}' has values that are no {output.datatype}") from None
    if len(values) != math.prod(output.shape):
        raise ModelError(f"output '{output.name}' has {len(values)} values for a shape of {math.prod(output.shape)}")
    return values.tobytes()


def _reason(error: grpc.aio.AioRpcError) -> str:
    return public_reason(error.details() or error.code().name)
