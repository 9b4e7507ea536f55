"""Prediction: numpy in, numpy out."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from headrace.router.v1 import predict_pb2
from numpy.typing import NDArray

from headrace_client.calls import Operation, Session, invoke
from headrace_client.operations.contracts import with_types
from headrace_client.tables import Inputs
from headrace_client.tensors import Input, decode_outputs, encode_inputs

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_STREAM_TIMEOUT_S = 300.0
TIMING_HEADER, TIMING_TRAILER = "headrace-timing", "server-timing"
_PART = re.compile(r"([a-z][a-z_-]*);dur=(\d+(?:\.\d+)?)")


class ServedFrom(enum.StrEnum):
    """Where an answer comes from."""

    ONLINE = "online"
    CACHE = "cache"
    PRECOMPUTED = "precomputed"
    STALE = "stale"
    FALLBACK = "fallback"
    UNKNOWN = "unknown"


SERVED_FROM = {
    predict_pb2.PredictResponse.SERVED_FROM_ONLINE: ServedFrom.ONLINE,
    predict_pb2.PredictResponse.SERVED_FROM_CACHE: ServedFrom.CACHE,
    predict_pb2.PredictResponse.SERVED_FROM_PRECOMPUTED: ServedFrom.PRECOMPUTED,
    predict_pb2.PredictResponse.SERVED_FROM_STALE: ServedFrom.STALE,
    predict_pb2.PredictResponse.SERVED_FROM_FALLBACK: ServedFrom.FALLBACK,
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer, and where it comes from.

    outputs: arrays by name, in the order of the contract; they share the message's memory and are read-only.
    version: the version that computed the answer. variant: the arm of the route; empty for a pinned version.
    rule: the rule by attribute that chose it; empty when the weights did.
    age: zero for an answer computed for this request. generation: of the route table that decided.
    prediction_id: what outcomes are recorded under. request_id: as given, or made by the client.
    fallback_step: the fallback of the route that answered, empty when none was needed. degraded_reason: why one was.
    missing_steps: of a pipeline, those that the answer does without.
    timing_ms: where the data plane's time went, by part, when that was asked for; `total` is the sum of the others.
    part: position among the answers to the same rows of a version that answers in parts; None where there is one.
    """

    outputs: dict[str, NDArray[Any]]
    model: str
    version: str
    variant: str
    served_from: ServedFrom
    prediction_id: str
    request_id: str
    generation: int
    age: timedelta
    rule: str
    fallback_step: str = ""
    degraded_reason: str = ""
    missing_steps: tuple[str, ...] = ()
    timing_ms: Mapping[str, float] = field(default_factory=dict)
    part: int | None = None

    @property
    def degraded(self) -> bool:
        """Return whether this is less than what the route's own version would have answered."""
        return bool(self.fallback_step or self.degraded_reason)

    @classmethod
    def from_proto(
        cls, answer: predict_pb2.PredictResponse, trailers: Mapping[str, str | bytes] = MappingProxyType({})
    ) -> Prediction:
        """Return the answer with its tensors as arrays. trailers: what came with it."""
        return cls(
            outputs=decode_outputs(answer.outputs, answer.raw_output_contents),
            model=answer.model,
            version=answer.version,
            variant=answer.variant,
            served_from=SERVED_FROM.get(answer.served_from, ServedFrom.UNKNOWN),
            prediction_id=answer.prediction_id,
            request_id=answer.request_id,
            generation=answer.generation,
            age=timedelta(milliseconds=answer.age_ms),
            rule=answer.rule,
            fallback_step=answer.fallback_step,
            degraded_reason=answer.degraded_reason,
            missing_steps=tuple(answer.missing_steps),
            timing_ms=timing_of(str(trailers.get(TIMING_TRAILER, ""))),
        )


def timing_of(text: str) -> dict[str, float]:
    """Return the milliseconds by part of a Server-Timing value, such as `cache;dur=0.402, total;dur=3.165`.

    What is not of that form is left out.
    """
    return {name: float(milliseconds) for name, milliseconds in _PART.findall(text)}


def predict(
    session: Session,
    model: str,
    inputs: Inputs | None = None,
    *,
    user_id: str = "",
    entity_id: str = "",
    attributes: Mapping[str, str] | None = None,
    outputs: Sequence[str] = (),
    version: str = "",
    max_age: timedelta | None = None,
    explain: bool = False,
    timing: bool = False,
    hedge_after: timedelta | None = None,
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[Prediction]:
    """Run a model on one or more rows and return the Prediction.

    inputs: array-likes by input name, the first dimension is the rows; or a table: a data frame, a list of records.
    Tables, and arrays whose numpy type is not the contract's, are cast where the values fit, by the contract, which is
    read once. A route that only gives precomputed answers needs the entity alone.
    user_id, entity_id: on whose behalf and about what; a route keeps a user (else the entity) on one variant.
    outputs: names to return, all when empty. version: one that the route names, instead of the route's choice.
    max_age: oldest answer to accept. explain: keep how the answer comes about, for `explain`.
    timing: have the answer say where the time went.
    hedge_after: send the request again when it is so late, and take the first answer; None never does.
    timeout: seconds for everything, retries included: repeating a prediction is safe, so UNAVAILABLE is tried again
    within it. Raises a HeadraceError.
    """
    trailers: dict[str, str | bytes] = {}

    def call(arrays: Mapping[str, Input] | None, left_s: float) -> Operation[predict_pb2.PredictResponse]:
        request = _request(model, arrays, user_id, entity_id, attributes, outputs, version, max_age, request_id)
        request.explain = explain
        return invoke(
            session,
            predict_pb2.PredictResponse,
            request,
            timeout_s=left_s,
            request_id=request.request_id,
            hedge_after_s=None if hedge_after is None else hedge_after.total_seconds(),
            headers=((TIMING_HEADER, "1"),) if timing else (),
            trailers=trailers.update if timing else None,
        )

    answer = yield from with_types(session, model, version, inputs, timeout, call)
    return Prediction.from_proto(answer, trailers)


def predict_stream(
    session: Session,
    model: str,
    inputs: Inputs,
    received: Callable[[int, Prediction], object],
    *,
    user_id: str = "",
    entity_id: str = "",
    attributes: Mapping[str, str] | None = None,
    outputs: Sequence[str] = (),
    version: str = "",
    max_age: timedelta | None = None,
    request_id: str = "",
    timeout: float = DEFAULT_STREAM_TIMEOUT_S,
) -> Operation[None]:
    """Run a model on many rows, and give `received` each part of at most 256 as it is there.

    received: gets the position of a part's first row, and its Prediction, in the order in which they are answered.
    While it works nothing more is read, and no more than a few parts are computed ahead. What it raises ends the call.
    Others: as for `predict`; each part is a prediction of its own. Where a data plane goes away the call is repeated,
    and `received` is not given again what it has. A version that answers in parts itself gives any number of them to
    the same rows, in their order (`Prediction.part`); once one of them was received the call is not repeated, as the
    model may answer otherwise. Raises a HeadraceError; what was received before counts.
    """
    known: set[int] = set()
    in_parts = False

    def once(answer: predict_pb2.PredictStreamResponse) -> None:
        nonlocal in_parts
        if answer.HasField("part"):
            in_parts = True
            received(answer.first_row, replace(Prediction.from_proto(answer.response), part=answer.part))
        elif answer.first_row not in known:
            known.add(answer.first_row)
            received(answer.first_row, Prediction.from_proto(answer.response))

    def call(arrays: Mapping[str, Input] | None, left_s: float) -> Operation[predict_pb2.PredictStreamResponse]:
        request = _request(model, arrays, user_id, entity_id, attributes, outputs, version, max_age, request_id)
        return invoke(
            session,
            predict_pb2.PredictStreamResponse,
            predict_pb2.PredictStreamRequest(request=request),
            timeout_s=left_s,
            request_id=request.request_id,
            listen=lambda: once,
            repeatable=lambda: not in_parts,
        )

    yield from with_types(session, model, version, inputs, timeout, call)


def _request(
    model: str,
    inputs: Mapping[str, Input] | None,
    user_id: str,
    entity_id: str,
    attributes: Mapping[str, str] | None,
    outputs: Sequence[str],
    version: str,
    max_age: timedelta | None,
    request_id: str,
) -> predict_pb2.PredictRequest:
    tensors, contents = encode_inputs(inputs) if inputs is not None else ([], [])
    request = predict_pb2.PredictRequest(
        model=model,
        version=version,
        request_id=request_id,
        inputs=tensors,
        outputs=outputs,
        raw_input_contents=contents,
        user_id=user_id,
        entity_id=entity_id,
        attributes=attributes,
    )
    if max_age is not None:
        request.max_age.FromTimedelta(max_age)
    return request
