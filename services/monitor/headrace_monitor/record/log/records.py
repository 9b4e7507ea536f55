"""The columns that the records of every model have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from headrace.router.v1 import predict_pb2
from headrace.telemetry.v1 import telemetry_pb2

_ID_BYTES = 16
_ID_CHARS = 36
# Where 32 hexadecimal digits go in the text of a UUID, and where its hyphens stand.
_HYPHENS = (8, 13, 18, 23)
_DIGITS = [place for place in range(_ID_CHARS) if place not in _HYPHENS]
_UNIT_SEPARATOR = "\x1f"
_TIME = pa.timestamp("us", tz="UTC")
_MAP = pa.map_(pa.string(), pa.string())
_NUMBERS = ("total_us", "queue_us", "compute_us", "age_ms")
_TEXTS = ("request_id", "unit", "entity_id")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch with its columns as arrays. input_offsets: where a prediction's inputs begin."""

    request: telemetry_pb2.ReportPredictionsRequest
    group: np.ndarray
    rows: np.ndarray
    inputs: list[bytes]
    input_offsets: np.ndarray
    outputs: list[bytes]

    @classmethod
    def of(cls, request: telemetry_pb2.ReportPredictionsRequest) -> Batch:
        """Return a batch that was checked."""
        batch = request.batch
        group = _integers(batch.group)
        listed = np.array([len(one.inputs) for one in batch.groups], dtype=np.int64)[group]
        return cls(
            *(request, group, _integers(batch.rows)),
            *(list(batch.inputs), np.cumsum(listed) - listed, list(batch.outputs)),
        )


def common_columns(
    batch: Batch, group: telemetry_pb2.PredictionGroup, places: np.ndarray
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Return the columns of predictions of a group, a record for each row. places: of the predictions in the batch."""
    sent, rows = batch.request.batch, batch.rows[places]
    records = int(rows.sum())
    one_each = records == len(places)
    take = places if one_each else np.repeat(places, rows)
    first = np.cumsum(rows) - rows
    row = np.zeros(records, np.int32) if one_each else (np.arange(records) - np.repeat(first, rows)).astype(np.int32)
    gather = pa.array(take)

    def same(value: Any, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), records)

    return {
        "prediction_id": _ids(sent.prediction_ids, take),
        "row": pa.array(row),
        "rows": pa.array(batch.rows[take].astype(np.int32)),
        "answer_time": pa.array(_integers(sent.answer_time_us)[take]).cast(_TIME),
        **{name: same(getattr(group, name), pa.string()) for name in ("model", "version", "digest", "variant")},
        "generation": same(group.generation, pa.int64()),
        "rule": same(group.rule, pa.string()),
        "served_from": same(served_from(group.served_from), pa.string()),
        "fallback_step": same(group.fallback_step, pa.string()),
        # Null of what callers asked for: most of the log.
        **{name: same(getattr(group, name) or None, pa.string()) for name in ("pipeline", "step")},
        **{name: pa.array(list(getattr(sent, name)), pa.string()).take(gather) for name in _TEXTS},
        "attributes": _attributes(list(sent.attributes)).take(gather),
        "probability": pa.array(np.fromiter(sent.probability, np.float64, len(sent.probability))[take]),
        **{name: pa.array(_integers(getattr(sent, name))[take]) for name in _NUMBERS},
        "data_plane": same(batch.request.data_plane, pa.string()),
        "process": same(batch.request.process, pa.string()),
        "sequence": same(batch.request.sequence, pa.int64()),
    }


@lru_cache
def served_from(number: int) -> str:
    """Return what the log calls a source: `online`, `cache` and so on; empty for one that it does not know."""
    named = predict_pb2.PredictResponse.ServedFrom.DESCRIPTOR.values_by_number.get(number)  # type: ignore[attr-defined]
    return "" if named is None or number == 0 else named.name.removeprefix("SERVED_FROM_").lower()


def _integers(values: Any) -> np.ndarray:
    return np.fromiter(values, np.int64, len(values))


def _ids(joined: bytes, take: np.ndarray) -> pa.Array:
    """Return ids as text, all at once: one by one it would be a third of all decoding."""
    digits = np.frombuffer(joined.hex().encode(), np.uint8).reshape(-1, 2 * _ID_BYTES)[take]
    text = np.full((len(take), _ID_CHARS), ord("-"), np.uint8)
    text[:, _DIGITS] = digits
    offsets = np.arange(0, (len(take) + 1) * _ID_CHARS, _ID_CHARS, dtype=np.int32)
    return pa.StringArray.from_buffers(len(take), pa.py_buffer(offsets), pa.py_buffer(text))


def _attributes(joined: list[str]) -> pa.Array:
    if not any(joined):
        return pa.MapArray.from_arrays(
            np.zeros(len(joined) + 1, np.int32), pa.nulls(0, pa.string()), pa.nulls(0, pa.string())
        )
    parsed: dict[str, list[tuple[str, str]]] = {}
    for text in joined:
        if text not in parsed:
            pairs = (one.partition("=") for one in text.split(_UNIT_SEPARATOR)) if text else ()
            parsed[text] = list({name: value for name, _, value in pairs}.items())
    return pa.array([parsed[text] for text in joined], _MAP)
