"""The predictor behind grpc.aio: bytes in, bytes out, and as little as possible around it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import structlog
from headrace.router.v1 import predict_pb2
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import Internal, ServiceError, Unavailable
from headrace_servicekit.server import Server
from headrace_servicekit.statuses import abort

from headrace_router.data.explain import servicer
from headrace_router.data.explain.servicer import Explaining
from headrace_router.data.predictor import Predictor
from headrace_router.data.protocols.oip import infer_message, infer_stream
from headrace_router.data.request.request import Call
from headrace_router.data.transports.call_context import CallContextFactory, finishing, wanted
from headrace_router.data.transports.grpc_aio.inference import InferenceReads
from headrace_router.data.transports.grpc_aio.partwise import METHOD, NAME, PartwisePredictions
from headrace_router.data.transports.grpc_aio.streams import PredictionStreams
from headrace_router.data.transports.prediction_methods import (
    CODECS,
    Headers,
    Serve,
    Trailers,
    prediction_methods,
)

log = structlog.get_logger()

METHODS = (
    *(codec.method for codec in CODECS),
    *(f"{infer_message.SERVICE}/{name}" for name in InferenceReads.METHODS),
    servicer.METHOD,
)
"""Every unary method that is served, as `package.Service/Method`."""


class GrpcTransport:
    """Serves `RouterService` and `GRPCInferenceService` on a kit server: unary methods without the kit's interceptors,
    streams with them."""

    def __init__(
        self,
        predictor: Predictor,
        contexts: CallContextFactory,
        reads: InferenceReads,
        explaining: Explaining,
        streams: PredictionStreams,
        partwise: PartwisePredictions,
    ) -> None:
        self._predictor, self._contexts, self._reads, self._explaining = predictor, contexts, reads, explaining
        self._streams, self._partwise = streams, partwise

    def add_to(self, server: Server) -> None:
        """Register the methods. None has serializers: the messages stay bytes."""
        services: dict[str, dict[str, Any]] = {}
        for path, serve in self._methods().items():
            service, _, method = path.partition("/")
            services.setdefault(service, {})[method] = self._unary(path, serve)
        for service, methods in services.items():
            server.add_bare_method_handlers(service, methods)
        stream = grpc.stream_stream_rpc_method_handler(self._streams.serve)
        server.add_registered_method_handlers(infer_message.SERVICE, {infer_stream.NAME: stream})
        parse = predict_pb2.PredictStreamRequest.FromString
        parts = grpc.unary_stream_rpc_method_handler(self._partwise.serve, request_deserializer=parse)
        server.add_registered_method_handlers(METHOD.rpartition("/")[0], {NAME: parts})

    def _methods(self) -> dict[str, Serve]:
        reading = {f"{infer_message.SERVICE}/{name}": _reading(self._reads, name) for name in self._reads.METHODS}
        return {**prediction_methods(self._predictor), **reading, servicer.METHOD: _explaining(self._explaining)}

    def _unary(self, method: str, serve: Serve) -> Any:
        """Return the handler of a method: what it serves, with the trailers and errors that all methods have."""
        of_anybody = method in self._reads.OF_ANYBODY

        async def handle(data: bytes, context: Any) -> bytes:
            trailers: Trailers = ()
            try:
                headers = wanted(context.invocation_metadata())
                call = self._contexts.call(headers, method, context.time_remaining(), of_anybody=of_anybody)
                trailers = ((REQUEST_ID_HEADER, call.request_id),)
                answer, more = await serve(data, headers, call)
                context.set_trailing_metadata((*trailers, *more))
                return answer
            except ServiceError as error:
                failure = error
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # the caller left, or its deadline passed
                    raise
                failure = Unavailable("the call was stopped inside the service", reason="STOPPED")
            except Exception:
                log.exception("unhandled error", method=method, request_id=dict(trailers).get(REQUEST_ID_HEADER))
                failure = Internal("internal error")
            return await abort(context, failure, trailers)

        return grpc.unary_unary_rpc_method_handler(handle)


def _reading(reads: InferenceReads, name: str) -> Serve:
    async def read(data: bytes, _headers: Headers, call: Call) -> tuple[bytes, Trailers]:
        with finishing(call):
            return reads.answer(name, data, call.caller), ()

    return read


def _explaining(explaining: Explaining) -> Serve:
    async def explain(data: bytes, _headers: Headers, call: Call) -> tuple[bytes, Trailers]:
        with finishing(call):
            return await explaining.answer(data, call.caller), ()

    return explain
