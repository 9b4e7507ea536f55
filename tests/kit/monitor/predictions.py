"""Batches of predictions as data planes report them, from numpy arrays, and contracts that need no registry.

SCORES = contract(inputs={"x": spec("FP32", 3)}, outputs={"scores": spec("FP32", 2)}, task="CLASSIFICATION")
predictions = batch({"x": features}, {"scores": scores}, model="churn", version="v1")
await stub.ReportPredictions(report(predictions, process, 1))
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import predict_pb2
from headrace.telemetry.v1 import telemetry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.record.log.contracts import VersionContract, version_contract

from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.router.answer_sources import ONLINE

_DATATYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def spec(datatype: str, *shape: int, **fields: Any) -> tensor_pb2.TensorSpec:
    """Return a tensor of a contract, without its name; shape: of a row; fields are those of TensorSpec."""
    return tensor_pb2.TensorSpec(datatype=datatype, shape=shape, **fields)


def contract(
    inputs: Mapping[str, tensor_pb2.TensorSpec],
    outputs: Mapping[str, tensor_pb2.TensorSpec],
    *,
    task: str = "UNSPECIFIED",
    prediction: str = "",
    labels: Sequence[str] = (),
) -> tensor_pb2.ServingContract:
    """Return a serving contract; task: CLASSIFICATION, REGRESSION, RANKING or UNSPECIFIED."""
    made = tensor_pb2.ServingContract(prediction=prediction, labels=labels, task=f"TASK_{task}")
    for side, specs in ((made.inputs, inputs), (made.outputs, outputs)):
        for name, one in specs.items():
            side.add().CopyFrom(one)
            side[-1].name = name
    return made


@dataclass(slots=True)
class KnownContracts:
    """A source of contracts that stands in for the registry where a test needs no more of it."""

    known: dict[tuple[str, str], VersionContract] = field(default_factory=dict)

    def add(self, model: str, version: str, promised: tensor_pb2.ServingContract) -> VersionContract:
        """Make a version known."""
        name = f"models/{model}/versions/{version}"
        message = registry_pb2.ModelVersion(name=name, contract=promised, digest=f"digest of {name}")
        self.known[model, version] = version_contract(model, version, message)
        return self.known[model, version]

    async def get(self, model: str, version: str) -> VersionContract | None:
        return self.known.get((model, version))


def batch(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    *,
    model: str = "digits",
    version: str = "v1",
    rows: Sequence[int] | None = None,
    start_us: int | None = None,
    every_us: int = 1000,
    ids: Sequence[uuid.UUID] | None = None,
    attributes: Sequence[Mapping[str, str]] | None = None,
    group: Mapping[str, Any] | None = None,
    **columns: Sequence[Any],
) -> telemetry_pb2.PredictionBatch:
    """Return predictions of one group. inputs, outputs: arrays by tensor, one item per row; text makes BYTES.

    rows: of each prediction, 1 unless told. start_us, every_us: their times, the last one now unless told.
    group: fields of PredictionGroup. columns: others of PredictionBatch, such as `unit` or `total_us`.
    """
    first = np.asarray(next(iter((*inputs.values(), *outputs.values()))))
    sizes = [1] * len(first) if rows is None else list(rows)
    count, ends = len(sizes), np.cumsum(sizes)
    begin = time.time_ns() // 1000 - every_us * (count - 1) if start_us is None else start_us
    times = [begin + every_us * number for number in range(count)]
    made = telemetry_pb2.PredictionBatch(group=[0] * count, rows=sizes, answer_time_us=times, probability=[1.0] * count)
    told: dict[str, Any] = {
        "model": model,
        "version": version,
        "digest": f"digest of models/{model}/versions/{version}",
    }
    in_common = made.groups.add(**{**told, "variant": "main", "generation": 1, "served_from": ONLINE, **(group or {})})
    for name, values in inputs.items():
        array = np.asarray(values)
        in_common.inputs.add(name=name, datatype=datatype_of(array), shape=array.shape[1:])
    made.prediction_ids = b"".join(one.bytes for one in ids or [prediction_id(moment) for moment in times])
    for end, size in zip(ends, sizes, strict=True):
        made.inputs.extend(raw(np.asarray(values)[end - size : end]) for values in inputs.values())
        made.outputs.append(answer({name: np.asarray(values)[end - size : end] for name, values in outputs.items()}))
    made.attributes.extend(
        "\x1f".join(f"{name}={value}" for name, value in sorted(one.items())) for one in attributes or [{}] * count
    )
    for name, default in {"request_id": "", "unit": "", "entity_id": "", **dict.fromkeys(_NUMBERS, 0)}.items():
        getattr(made, name).extend(columns.get(name, [default] * count))
    return made


_NUMBERS = ("total_us", "queue_us", "compute_us", "age_ms")


def joined(*batches: telemetry_pb2.PredictionBatch) -> telemetry_pb2.PredictionBatch:
    """Return one batch with the groups and predictions of several."""
    made = telemetry_pb2.PredictionBatch()
    for one in batches:
        before = len(made.groups)
        made.MergeFrom(one)  # which appends every column, except for the one that is joined bytes
        del made.group[len(made.group) - len(one.group) :]
        made.group.extend(before + index for index in one.group)
    made.prediction_ids = b"".join(one.prediction_ids for one in batches)
    return made


def report(
    predictions: telemetry_pb2.PredictionBatch, process: uuid.UUID, sequence: int, *, data_plane: str = "dp-0"
) -> telemetry_pb2.ReportPredictionsRequest:
    """Return the request that reports a batch."""
    return telemetry_pb2.ReportPredictionsRequest(
        data_plane=data_plane, process=str(process), sequence=sequence, batch=predictions
    )


def prediction_id(time_us: int) -> uuid.UUID:
    """Return a UUIDv7 of that time."""
    noise = uuid.uuid4().int & ((1 << 80) - 1)
    value = (time_us // 1000) << 80 | noise
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def answer(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Return the encoded fields 5 and 6 of PredictResponse."""
    message = predict_pb2.PredictResponse()
    for name, array in outputs.items():
        message.outputs.add(name=name, datatype=datatype_of(array), shape=array.shape)
        message.raw_output_contents.append(raw(array))
    return message.SerializeToString()


def datatype_of(array: np.ndarray) -> str:
    """Return the Open Inference Protocol's name of an array's type; text and bytes are BYTES."""
    return "BYTES" if array.dtype.kind in "OSU" else _DATATYPES[array.dtype.name]


def raw(array: np.ndarray) -> bytes:
    """Return values as the protocol carries them: little-endian, BYTES each behind its length."""
    if array.dtype.kind not in "OSU":
        return array.astype(array.dtype.newbyteorder("<")).tobytes()
    texts = (one if isinstance(one, bytes) else str(one).encode() for one in array.ravel().tolist())
    return encoded_texts(texts)
