"""What is sent and what must come back, for each API: bodies encoded once per row of features."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from benchmarks.load.workload import ENTITY_CHARS

PREDICT = "/headrace.router.v1.RouterService/Predict"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
DEADLINE_MS = 10_000
# Scores are computed in batches of other sizes, in another order of sums.
TOLERANCE = 1e-4

_inference: Any = service_pb2  # generated without type stubs
Array = NDArray[np.float32]
_FLOAT = struct.Struct("<f").unpack_from


@dataclass(frozen=True, slots=True)
class Rows:
    """Features and the score that the model gives them: users [n, 128], items [n, 64], scores [n]."""

    users: Array
    items: Array
    scores: Sequence[float]


@dataclass(frozen=True, slots=True)
class Call:
    """One way of asking. A body is bodies[row] + entity + tail; right(body, row) checks an answer's.

    by_entity: whether the entity is sent at all.
    """

    path: str
    content_type: str
    bodies: Sequence[bytes]
    right: Callable[[bytes, int], bool]
    tail: bytes = b""
    by_entity: bool = True
    deadline_ms: int = DEADLINE_MS

    @property
    def grpc(self) -> bool:
        """Whether an answer ends with a grpc-status."""
        return self.content_type == "application/grpc"

    def headers(self, authority: str, token: str | None) -> list[tuple[str, str]]:
        """Return the headers of every request beside method and scheme."""
        made = [(":path", self.path), (":authority", authority), ("content-type", self.content_type)]
        made += [("te", "trailers")] if self.grpc else []
        made.append(("grpc-timeout", f"{self.deadline_ms}m"))
        return made if token is None else [*made, ("authorization", f"Bearer {token}")]


def predict(models: Sequence[str], rows: Rows) -> Call:
    """Return RouterService.Predict. models: rows take them in turn."""
    bodies = []
    for row in range(len(rows.scores)):
        message = predict_pb2.PredictRequest(model=models[row % len(models)], user_id=_user(row))
        for name, values in _inputs(rows, row):
            message.inputs.append(tensor_pb2.Tensor(name=name, datatype="FP32", shape=values.shape))
            message.raw_input_contents.append(values.tobytes())
        # The entity's field comes last, where only its bytes are missing.
        bodies.append(framed(message.SerializeToString() + b"\x8a\x01" + bytes([ENTITY_CHARS]), ENTITY_CHARS))
    return Call(PREDICT, "application/grpc", bodies, last_float_is(rows.scores))


def model_infer(model: str, rows: Rows, *, by_entity: bool) -> Call:
    """Return the Open Inference Protocol's ModelInfer. by_entity: with the parameter that Headrace has for it."""
    bodies = []
    for row in range(len(rows.scores)):
        message = _inference.ModelInferRequest(model_name=model)
        for name, values in _inputs(rows, row):
            message.inputs.add(name=name, datatype="FP32", shape=values.shape)
            message.raw_input_contents.append(values.tobytes())
        encoded = message.SerializeToString()
        if not by_entity:
            bodies.append(framed(encoded, 0))
            continue
        message.parameters["headrace_user_id"].string_param = _user(row)
        encoded = message.SerializeToString()
        # A map's entry: key, and a value of one string, which comes last.
        name = b"headrace_entity_id"
        value = b"\x1a" + bytes([ENTITY_CHARS])
        entry = b"\x0a" + bytes([len(name)]) + name + b"\x12" + bytes([len(value) + ENTITY_CHARS]) + value
        encoded += b"\x22" + bytes([len(entry) + ENTITY_CHARS]) + entry
        bodies.append(framed(encoded, ENTITY_CHARS))
    return Call(MODEL_INFER, "application/grpc", bodies, last_float_is(rows.scores), by_entity=by_entity)


def natural_json(model: str, rows: Rows) -> Call:
    """Return `POST /v1/models/{model}:predict`."""
    bodies = []
    for row in range(len(rows.scores)):
        instance = {name: [round(float(one), 3) for one in values[0]] for name, values in _inputs(rows, row)}
        body = json.dumps({"instances": [instance], "user_id": _user(row), "entity_id": ""}, separators=(",", ":"))
        bodies.append(body.encode()[:-2])
    return Call(f"/v1/models/{model}:predict", "application/json", bodies, _prediction_is(rows.scores), tail=b'"}')


def echo(rows: Rows) -> Call:
    """Return a unary call with bodies like those of `predict`, whose answer is always the same."""
    like = predict(["benchmark"], rows)
    return Call("/benchmark.Echo/Call", like.content_type, like.bodies, lambda body, _: len(body) > 5)


def _inputs(rows: Rows, row: int) -> tuple[tuple[str, Array], ...]:
    return ("user_features", rows.users[row : row + 1]), ("item_features", rows.items[row : row + 1])


def _user(row: int) -> str:
    return f"user-{row % 5000:06d}"


def framed(message: bytes, missing: int = 0) -> bytes:
    """Return a gRPC message with its length; so many bytes are to be added to it."""
    return b"\0" + (len(message) + missing).to_bytes(4, "big") + message


def last_float_is(scores: Sequence[float]) -> Callable[[bytes, int], bool]:
    """Return the check of an answer whose last output is one float: that of the row."""

    # The raw contents of the only output come last, in both protocols.
    def right(body: bytes, row: int) -> bool:
        size = len(body)
        if size < 9 or int.from_bytes(body[1:5], "big") != size - 5:
            return False
        return abs(_FLOAT(body, size - 4)[0] - scores[row]) < TOLERANCE

    return right


def _prediction_is(scores: Sequence[float]) -> Callable[[bytes, int], bool]:
    def right(body: bytes, row: int) -> bool:
        try:
            found = json.loads(body)["predictions"][0]
        except (ValueError, KeyError, IndexError):
            return False
        value = cast(float, found[0] if isinstance(found, list) else found)
        return abs(value - scores[row]) < TOLERANCE

    return right
