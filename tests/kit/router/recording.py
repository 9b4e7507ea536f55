"""Answered predictions as the recorder takes them, without a data plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import uuid_utils
from headrace.router.v1 import control_pb2, predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.reporting.decisions.recorder import Record, Recorder, new_drops
from headrace_router.data.request.request import Call, Request, ResolvedRequest, Tensors
from headrace_router.data.tables.served import ServedVersion
from headrace_router.data.tables.table import Table, table_of
from headrace_router.rules import NO_ATTRIBUTES
from headrace_servicekit.identity import Identity

from tests.kit.router.digits import ROW, V1
from tests.kit.router.fake_control import INCARNATION, table

Columns = Mapping[str, tuple[str, Sequence[int], bytes]]
INPUTS: Columns = {"x": ("FP32", [1, 4], ROW)}
OUTPUTS: Columns = {"y": ("FP32", [1], b"\0\0\x80\x3f")}


def table_with(version: control_pb2.ResolvedVersion = V1, **how: Any) -> Table:
    """Return a table whose only variant serves a version. how: fields of the message, such as `unit`."""
    made = table(version.model, [version])
    for name, value in how.items():
        setattr(made, name, value)
    return table_of(made, {}, INCARNATION)


TABLE = table_with()


def answered(
    among: Table = TABLE,
    *,
    inputs: Columns = INPUTS,
    outputs: Columns = OUTPUTS,
    user: str = "",
    entity: str = "",
    request: str = "request-1",
    attributes: Mapping[str, str] = NO_ATTRIBUTES,
    pinned: str = "",
    computed_by: ServedVersion | None = None,
    given: bool = False,
    arrived: float = 0.0,
    took_s: float = 0.001,
    **found: Any,
) -> tuple[ResolvedRequest, Answer]:
    """Return one answered prediction, as the predictor has it.

    inputs: by name, in the order of the contract. computed_by: another version than the variant's; given: none at all.
    found: what the look-up says of the answer.
    """
    variant = among.pin(pinned) if pinned else among.assign(user_id=user, entity_id=entity, request_id=request)
    assert variant is not None
    tensors = Tensors(
        tuple((name, datatype, *shape) for name, (datatype, shape, _) in inputs.items()),
        tuple(content for _, _, content in inputs.values()),
    )
    asked = Request(among.model, lambda _contract, _max_rows: tensors, pinned, request, user, entity, (), attributes)
    call = Call(Identity("ann", None), request, arrived + 5.0, arrived)
    layout = variant.served.layout(tensors.described, 1024)
    resolved = ResolvedRequest(among, variant, asked, call, tensors, layout, tensors.contents, ())
    served = None if given else computed_by or variant.served
    answer = Answer(
        encoded(outputs),
        found.pop("served_from", ServedFrom.ONLINE),
        served,
        **found,
        version=served.version if served is not None else "",
        variant=variant.name,
        generation=among.generation,
        request_id=request,
        prediction_id=str(uuid_utils.uuid7()),
        took_s=took_s,
    )
    return resolved, answer


def record(*how: Any, **more: Any) -> Record:
    """Return one answered prediction, as the recorder keeps it; the arguments are those of `answered`."""
    recorder = Recorder(1 << 30, new_drops(), lambda: None)
    recorder.add(*answered(*how, **more))
    (one,) = recorder.take(1.0).records
    return Record._make(one)


def encoded(outputs: Columns) -> bytes:
    """Return outputs by name as the encoded fields 5 and 6 of PredictResponse."""
    message = predict_pb2.PredictResponse()
    for name, (datatype, shape, content) in outputs.items():
        message.outputs.add(name=name, datatype=datatype, shape=shape)
        message.raw_output_contents.append(content)
    return message.SerializeToString()


def spec(name: str, datatype: str, *shape: int, **fields: Any) -> tensor_pb2.TensorSpec:
    """Return what a contract says of a tensor."""
    return tensor_pb2.TensorSpec(name=name, datatype=datatype, shape=shape, **fields)
