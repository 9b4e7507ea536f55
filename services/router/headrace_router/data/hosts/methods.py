"""The unary gRPC methods of a data plane as functions from bytes to bytes: what every gRPC host serves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from headrace_servicekit.errors import ServiceError

from headrace_router.data.explain import asking
from headrace_router.data.explain.asking import Explaining
from headrace_router.data.faces import predict
from headrace_router.data.faces.oip import infer_message
from headrace_router.data.hosts.arrivals import finishing
from headrace_router.data.hosts.inference import InferenceReads
from headrace_router.data.hosts.timing import timing_of
from headrace_router.data.messages import Answer, Call, Request
from headrace_router.data.predictor import Predictor

Headers = Mapping[str, str]
Trailers = tuple[tuple[str, str], ...]
Serve = Callable[[bytes, Headers, Call], Coroutine[Any, Any, tuple[bytes, Trailers]]]


class Face(NamedTuple):
    """A method that predicts. method: `package.Service/Method`."""

    method: str
    parse: Callable[[bytes], Request]
    render: Callable[[Answer], bytes]


PREDICT = Face(predict.METHOD, predict.parse, predict.render)
MODEL_INFER = Face(infer_message.METHOD, infer_message.parse, infer_message.render)


NAMES = (
    *(face.method for face in (PREDICT, MODEL_INFER)),
    *(f"{infer_message.SERVICE}/{name}" for name in InferenceReads.METHODS),
    asking.METHOD,
)
"""Every method of `unary_methods`."""


def unary_methods(predictor: Predictor, reads: InferenceReads, explaining: Explaining) -> dict[str, Serve]:
    """Return the methods by `package.Service/Method`.

    Each takes the message, the headers that matter and the call, and gives the answer and trailers of its own. Raises
    ServiceError.
    """
    reading = {f"{infer_message.SERVICE}/{name}": _reading(reads, name) for name in reads.METHODS}
    return {**predicting_methods(predictor), **reading, asking.METHOD: _explaining(explaining)}


def predicting_methods(predictor: Predictor) -> dict[str, Serve]:
    """Return the methods that predict, likewise."""
    return {face.method: _predicting(predictor, face) for face in (PREDICT, MODEL_INFER)}


def _predicting(predictor: Predictor, face: Face) -> Serve:
    async def predict_bytes(data: bytes, headers: Headers, call: Call) -> tuple[bytes, Trailers]:
        try:
            request = face.parse(data)
        except ServiceError as error:
            predictor.refused(call, error)
            raise
        answer = await predictor.predict(request, call)
        return face.render(answer), timing_of(headers, call)

    return predict_bytes


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
