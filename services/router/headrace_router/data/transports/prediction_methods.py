"""The unary gRPC methods that predict as functions from bytes to bytes: Envoy and grpc.aio serve the same."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from headrace_servicekit.errors import ServiceError

from headrace_router.data.answer.answer import Answer
from headrace_router.data.predictor import Predictor
from headrace_router.data.protocols import predict
from headrace_router.data.protocols.oip import infer_message
from headrace_router.data.request.request import Call, Request
from headrace_router.data.request.trace import timing_of

Headers = Mapping[str, str]
Trailers = tuple[tuple[str, str], ...]
Serve = Callable[[bytes, Headers, Call], Coroutine[Any, Any, tuple[bytes, Trailers]]]
"""Takes the message, the headers that matter and the call; gives the answer and trailers of its own. Raises
ServiceError."""


class Codec(NamedTuple):
    """A method that predicts. method: `package.Service/Method`."""

    method: str
    parse: Callable[[bytes], Request]
    render: Callable[[Answer], bytes]


CODECS = (
    Codec(predict.METHOD, predict.parse, predict.render),
    Codec(infer_message.METHOD, infer_message.parse, infer_message.render),
)


def prediction_methods(predictor: Predictor) -> dict[str, Serve]:
    """Return the methods by `package.Service/Method`."""
    return {codec.method: _predicting(predictor, codec) for codec in CODECS}


def _predicting(predictor: Predictor, codec: Codec) -> Serve:
    async def predict_bytes(data: bytes, headers: Headers, call: Call) -> tuple[bytes, Trailers]:
        try:
            request = codec.parse(data)
        except ServiceError as error:
            predictor.refused(call, error)
            raise
        answer = await predictor.predict(request, call)
        return codec.render(answer), () if call.marks is None else timing_of(headers, call.marks)

    return predict_bytes
