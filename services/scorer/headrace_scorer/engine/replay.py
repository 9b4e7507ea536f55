"""Online replay of a sample: the version predicts the same inputs again, without the cache."""

from __future__ import annotations

import time
from collections.abc import Sequence

import grpc
import numpy as np
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_runtime.backends.onnx_session import DTYPES
from headrace_runtime.contract import BYTES, Contract

from headrace_scorer.decisions import parity
from headrace_scorer.decisions.comparisons import Parity
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.publish_orders import CheckOrder
from headrace_scorer.engine.sample import Sample

# Rows of a request: less than any route's limit.
ROWS = 8
CALL_S = 30.0
# What may be over soon is waited for so long.
PATIENCE_S = 20.0
_SOON = frozenset((grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED))
_ONLINE = predict_pb2.PredictResponse.SERVED_FROM_ONLINE


class Unanswered(Exception):
    """The version does not answer online; the message says why, and what to do."""


def compared(order: CheckOrder, contract: Contract, sample: Sample, channel: grpc.Channel) -> Parity:
    """Request a sample's answers online and compare. Raises Unanswered; a transient Failed while the router is away."""
    stub, parts = predict_pb2_grpc.RouterServiceStub(channel), list[Parity]()
    size = ROWS if contract.batched else 1
    for begin in range(0, len(sample.rows), size):
        rows = sample.rows[begin : begin + size]
        answer = _asked(stub, _request(order, contract, sample, rows))
        if answer.served_from != _ONLINE or answer.version != order.version:
            source = predict_pb2.PredictResponse.ServedFrom.Name(answer.served_from)
            raise Unanswered(f"{answer.version or 'no version'} answered instead, {source}")
        online = {
            one.name: _values(one, raw, len(rows))
            for one, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
        }
        scored = {name: values[rows] for name, values in sample.scored.items()}
        parts.append(parity.compare([sample.entities[at] for at in rows], scored, online, order.spec.tolerance))
    return parity.merged(parts)


def _request(order: CheckOrder, contract: Contract, sample: Sample, rows: np.ndarray) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest(model=order.model, version=order.version)
    request.max_age.SetInParent()  # of no age: computed for this request
    for tensor in sample.tensors:
        shape = [len(rows), *tensor.spec.row_shape] if contract.batched else list(tensor.spec.row_shape)
        request.inputs.add(name=tensor.spec.name, datatype=tensor.spec.datatype, shape=shape)
        request.raw_input_contents.append(bytes(tensor.raw(rows)))
    return request


def _asked(
    stub: predict_pb2_grpc.RouterServiceStub, request: predict_pb2.PredictRequest
) -> predict_pb2.PredictResponse:
    until, pause = time.monotonic() + PATIENCE_S, 0.25
    while True:
        try:
            return stub.Predict(request, timeout=CALL_S)
        except grpc.RpcError as error:
            code, message = error.code(), f"{error.code().name}: {error.details()}"  # type: ignore[attr-defined]
            if code in _SOON:
                if time.monotonic() > until:
                    message = f"no version answers online ({message})"
                    raise Failed("ONLINE_UNAVAILABLE", message, transient=True) from None
                time.sleep(pause)
                pause = min(4.0, pause * 2)
            elif code is grpc.StatusCode.NOT_FOUND:
                help_ = (
                    "name the version in the model's route, with weight 0 if it is to get no traffic, and publish again"
                )
                raise Unanswered(f"the version cannot be asked ({message}): {help_}") from None
            else:
                raise Unanswered(f"the version cannot be asked ({message})") from None


def _values(output: object, raw: bytes, rows: int) -> np.ndarray | Sequence[bytes]:
    datatype = output.datatype  # type: ignore[attr-defined]
    if datatype != BYTES:
        return np.frombuffer(raw, DTYPES[datatype]).reshape(rows, -1)
    texts, at = [], 0
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        # As results have it.
        texts.append(raw[at + 4 : end].decode(errors="replace"))
        at = end
    values = np.empty(len(texts), object)
    values[:] = texts
    return values.reshape(rows, -1)
