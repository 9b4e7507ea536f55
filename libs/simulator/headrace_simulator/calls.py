"""Incoming calls: each is subject to the active faults, then forwarded to the backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from headrace_simulator.backend import SERVICE, Backend, Refused, dead, out_of_memory
from headrace_simulator.decisions import made_up
from headrace_simulator.decisions.faults import Dead, Operation, OutOfMemory, Slow, SlowLoad, Wedge, WrongOutputs
from headrace_simulator.decisions.latency import seconds
from headrace_simulator.decisions.wrong_outputs import Wrong, spoil
from headrace_simulator.injection import InjectedFault, Injection

_pb: Any = service_pb2  # generated without type stubs

_PREFIX = f"/{SERVICE}/"
_INFER, _STREAM, _LOAD, _READY = (
    _PREFIX + name for name in ("ModelInfer", "ModelStreamInfer", "RepositoryModelLoad", "ModelReady")
)
_HEALTH = "/grpc.health.v1.Health/Check"
# Of each call about one model: its message, and the field with the name.
_MODEL_FIELDS = {
    _INFER: (_pb.ModelInferRequest, "model_name"),
    _LOAD: (_pb.RepositoryModelLoadRequest, "model_name"),
    _READY: (_pb.ModelReadyRequest, "name"),
    _PREFIX + "ModelMetadata": (_pb.ModelMetadataRequest, "name"),
    _PREFIX + "ModelConfig": (_pb.ModelConfigRequest, "name"),
}
_NOT_READY = _pb.ModelReadyResponse(ready=False).SerializeToString()


class Calls(grpc.GenericRpcHandler):
    """Answers every method of Triton's gRPC service. backend: what answers when no fault does."""

    def __init__(self, backend: Backend, injection: Injection) -> None:
        self._backend, self._injection = backend, injection

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of a call, None for another service."""
        path = handler_call_details.method
        if path == _STREAM:
            return grpc.stream_stream_rpc_method_handler(self._answer_stream)
        if not path.startswith(_PREFIX) and path != _HEALTH:
            return None

        async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            try:
                return await self._answer(path, request, context.time_remaining())
            except Refused as error:
                await context.abort(error.code, error.details)
                raise AssertionError from None  # abort raises

        return grpc.unary_unary_rpc_method_handler(answer)

    async def _answer(self, path: str, request: bytes, timeout_s: float | None) -> bytes:
        """Return the answer to a call. Raises Refused."""
        message, model = _read(path, request)
        if path == _INFER:
            wrong = await self._meet_infer(message)
            answer = await self._backend.call(path, request, timeout_s)
            return answer if wrong is None else _spoilt(answer, wrong)
        if path == _LOAD:
            await self._meet_load(model)
        else:
            met = self._injection.meet(Operation.MODEL if model else Operation.SERVER, model)
            await _wedge(met)
            if _is_dead(met):
                if path == _READY:
                    return _NOT_READY
                raise dead(model)
        return await self._backend.call(path, request, timeout_s)

    async def _meet_infer(self, request: Any) -> Wrong | None:
        """Let an execution meet its faults; return what is to be wrong with its answer. Raises Refused."""
        met = self._injection.meet(Operation.INFER, request.model_name)
        await _wedge(met)
        if _is_dead(met):
            raise dead(request.model_name)
        wrong = None
        for one in met:
            match one.scheduled.fault:
                case Slow() as fault:
                    await _pause(one, seconds(fault, made_up.rows_of(request), fault.seed, one.calls))
                case OutOfMemory():
                    raise out_of_memory(request.model_name, loading=False)
                case WrongOutputs(how=how):
                    wrong = how
        return wrong

    async def _meet_load(self, model: str) -> None:
        """Let a loading meet its faults. Raises Refused."""
        met = self._injection.meet(Operation.LOAD, model)
        await _wedge(met)
        if _is_dead(met):
            raise dead(model)
        for one in met:
            match one.scheduled.fault:
                case SlowLoad(delay_s=delay_s):
                    await _pause(one, delay_s)
                case OutOfMemory():
                    raise out_of_memory(model, loading=True)

    async def _answer_stream(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        """Answer ModelStreamInfer. A fault that refuses ends the stream, as a server that goes away does."""
        wrong: Wrong | None = None

        async def met() -> AsyncIterator[bytes]:
            nonlocal wrong
            async for request in requests:
                message, _ = _read(_INFER, request)
                wrong = await self._meet_infer(message)
                yield request

        try:
            async for answer in self._backend.stream(_STREAM, met(), context.time_remaining()):
                yield answer if wrong is None else _spoilt_part(answer, wrong)
        except Refused as error:
            await context.abort(error.code, error.details)


def _read(path: str, request: bytes) -> tuple[Any, str]:
    """Return the message of a call about a model and the model's name; None and nothing for others. Raises Refused."""
    if path not in _MODEL_FIELDS:
        return None, ""
    kind, field = _MODEL_FIELDS[path]
    try:
        message = kind.FromString(request)
    except DecodeError:
        raise Refused(grpc.StatusCode.INTERNAL, "the request is no message of the protocol") from None
    return message, getattr(message, field)


async def _wedge(met: Sequence[InjectedFault]) -> None:
    for one in met:
        if isinstance(one.scheduled.fault, Wedge):
            await one.over()


async def _pause(one: InjectedFault, seconds: float) -> None:
    """Wait for so long, or until the fault is taken back."""
    try:
        async with asyncio.timeout(seconds):
            await one.removed.wait()
    except TimeoutError:
        pass


def _is_dead(met: Sequence[InjectedFault]) -> bool:
    return any(isinstance(one.scheduled.fault, Dead) for one in met)


def _spoilt(answer: bytes, wrong: Wrong) -> bytes:
    return _changed(_pb.ModelInferResponse, answer, lambda message: spoil(message, wrong))


def _spoilt_part(answer: bytes, wrong: Wrong) -> bytes:
    return _changed(_pb.ModelStreamInferResponse, answer, lambda message: spoil(message.infer_response, wrong))


def _changed(kind: Any, content: bytes, change: Callable[[Any], None]) -> bytes:
    message = kind.FromString(content)
    change(message)
    return message.SerializeToString()
