"""Whether a batch of predictions can be taken: everything that decoding relies on. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

import numpy as np
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.resource_names import is_id, shown

from headrace_monitor.record.log.raw_values import DATATYPES, size_of

MAX_PREDICTIONS = 100_000
MAX_GROUPS = 10_000
# Each row becomes a record, also where a group lists no inputs whose bytes would have to come along.
MAX_ROWS = 262_144
MAX_INPUTS = 64
MAX_DIMENSIONS = 8
MAX_TEXT_CHARS = 256
MAX_SEQUENCE = 2**53
# Clocks of data planes may be wrong by so much.
MAX_AHEAD = timedelta(hours=1)
ID_BYTES = 16
_MOST_VIOLATIONS = 20

_COLUMNS = (
    *("group", "answer_time_us", "request_id", "unit", "entity_id", "total_us", "queue_us", "compute_us", "age_ms"),
    *("probability", "rows", "outputs", "attributes"),
)


def check(request: telemetry_pb2.ReportPredictionsRequest, now: datetime, oldest: timedelta) -> UUID:
    """Return the process of a batch that can be taken. Raises InvalidArgument that names what is wrong.

    oldest: how old predictions may be; the log keeps none for longer.
    """
    process, wrong = _header(request)
    wrong += list(islice(_batch(request.batch, now, oldest), _MOST_VIOLATIONS))
    refuse(wrong)
    return process


def _header(request: telemetry_pb2.ReportPredictionsRequest) -> tuple[UUID, list[FieldViolation]]:
    process, wrong = UUID(int=0), []
    try:
        process = UUID(request.process)
    except ValueError:
        pass
    if str(process) != request.process or process.int == 0:
        wrong.append(FieldViolation("process", f"{shown(request.process)} is not a UUID in its usual form"))
    if not 0 < request.sequence <= MAX_SEQUENCE:
        wrong.append(FieldViolation("sequence", f"is {request.sequence}; batches are numbered from 1"))
    if not 0 < len(request.data_plane) <= MAX_TEXT_CHARS or "\0" in request.data_plane:
        wrong.append(FieldViolation("data_plane", f"1 to {MAX_TEXT_CHARS} characters are needed, without NUL"))
    return process, wrong


def _batch(batch: telemetry_pb2.PredictionBatch, now: datetime, oldest: timedelta) -> Iterator[FieldViolation]:
    count = len(batch.group)
    if not 0 < count <= MAX_PREDICTIONS:
        yield FieldViolation("batch.group", f"{count} predictions; 1 to {MAX_PREDICTIONS} are taken")
        return
    sized = [*_sizes(batch, count), *_groups(batch.groups)]
    yield from sized
    if sized:  # what follows counts on them
        return
    group = np.fromiter(batch.group, np.int64, count)
    yield from _outside("group", group, group >= len(batch.groups), f"below {len(batch.groups)}, the number of groups")
    rows = np.fromiter(batch.rows, np.int64, count)
    yield from _outside("rows", rows, rows < 1, "at least 1")
    yield from _times(np.fromiter(batch.answer_time_us, np.int64, count), now, oldest)
    share = np.fromiter(batch.probability, np.float64, count)
    yield from _outside("probability", share, ~((share > 0) & (share <= 1)), "above 0, at most 1")
    age = np.fromiter(batch.age_ms, np.uint64, count)
    yield from _outside("age_ms", age, age > 2**62, "at most 2^62")
    if rows.sum() > MAX_ROWS:
        yield FieldViolation("batch.rows", f"{rows.sum()} rows in all; at most {MAX_ROWS} are taken")
    elif group.max() < len(batch.groups) and rows.min() > 0:
        yield from _inputs(batch, group, rows)


def _sizes(batch: telemetry_pb2.PredictionBatch, count: int) -> Iterator[FieldViolation]:
    for name in _COLUMNS:
        have = len(getattr(batch, name))
        if have != count:
            yield FieldViolation(f"batch.{name}", f"{have} items for {count} predictions")
    if len(batch.prediction_ids) != count * ID_BYTES:
        problem = f"{len(batch.prediction_ids)} bytes for {count} predictions; {ID_BYTES} each are needed"
        yield FieldViolation("batch.prediction_ids", problem)


def _groups(groups: Sequence[telemetry_pb2.PredictionGroup]) -> Iterator[FieldViolation]:
    if not 0 < len(groups) <= MAX_GROUPS:
        yield FieldViolation("batch.groups", f"{len(groups)} groups; 1 to {MAX_GROUPS} are taken")
        return
    for index, group in enumerate(groups):
        place = f"batch.groups[{index}]"
        for name, text in (("model", group.model), ("version", group.version)):
            if not is_id(text) and not (name == "version" and not text):
                yield FieldViolation(f"{place}.{name}", f"{shown(text)} is not the id of a {name}")
        for name in ("digest", "variant", "rule", "fallback_step", "pipeline", "step"):
            if len(getattr(group, name)) > MAX_TEXT_CHARS:
                yield FieldViolation(f"{place}.{name}", f"more than {MAX_TEXT_CHARS} characters")
        if len(group.inputs) > MAX_INPUTS:
            yield FieldViolation(f"{place}.inputs", f"{len(group.inputs)} inputs; at most {MAX_INPUTS}")
            continue
        for number, one in enumerate(group.inputs):
            yield from _layout(one, f"{place}.inputs[{number}]")
        if len({one.name for one in group.inputs}) < len(group.inputs):
            yield FieldViolation(f"{place}.inputs", "an input is listed twice")


def _layout(one: telemetry_pb2.PredictionGroup.InputLayout, place: str) -> Iterator[FieldViolation]:
    if not 0 < len(one.name) <= MAX_TEXT_CHARS:
        yield FieldViolation(f"{place}.name", f"1 to {MAX_TEXT_CHARS} characters are needed")
    if one.datatype not in DATATYPES:
        yield FieldViolation(f"{place}.datatype", f"{shown(one.datatype)} is not one of {', '.join(sorted(DATATYPES))}")
    if len(one.shape) > MAX_DIMENSIONS or any(size < 0 for size in one.shape) or math.prod(one.shape) >= 2**31:
        yield FieldViolation(f"{place}.shape", f"{list(one.shape)[:MAX_DIMENSIONS]} is not the shape of a row")


def _times(times: np.ndarray, now: datetime, oldest: timedelta) -> Iterator[FieldViolation]:
    first, last = (int(moment.timestamp() * 1e6) for moment in (now - oldest, now + MAX_AHEAD))
    allowed = (
        f"a time from {now - oldest:%Y-%m-%dT%H:%MZ} to {now + MAX_AHEAD:%Y-%m-%dT%H:%MZ}, in microseconds since 1970"
    )
    yield from _outside("answer_time_us", times, (times < first) | (times > last), allowed)


def _outside(name: str, values: np.ndarray, wrong: np.ndarray, allowed: str) -> Iterator[FieldViolation]:
    if wrong.any():
        index = int(wrong.argmax())
        yield FieldViolation(f"batch.{name}[{index}]", f"is {values[index]}; it must be {allowed}")


def _inputs(batch: telemetry_pb2.PredictionBatch, group: np.ndarray, rows: np.ndarray) -> Iterator[FieldViolation]:
    """Hold every tensor against its layout: as many bytes as its shape says, of BYTES at least their lengths."""
    listed = np.array([len(one.inputs) for one in batch.groups])
    if (have := len(batch.inputs)) != (need := int(listed[group].sum())):
        yield FieldViolation("batch.inputs", f"{have} items; the groups of the predictions list {need}")
        return
    each = [
        [(math.prod(one.shape) * (size_of(one.datatype) or 4), one.datatype == "BYTES") for one in group.inputs]
        for group in batch.groups
    ]
    if not need:
        return
    bytes_per_row = np.array([size for index in group.tolist() for size, _ in each[index]], dtype=np.int64)
    at_least = np.array([text for index in group.tolist() for _, text in each[index]], dtype=bool)
    wanted = bytes_per_row * np.repeat(rows, listed[group])
    sizes = np.fromiter(map(len, batch.inputs), np.int64, have)
    wrong = np.where(at_least, sizes < wanted, sizes != wanted)
    if wrong.any():
        index = int(wrong.argmax())
        bound = "at least " if at_least[index] else ""
        yield FieldViolation(f"batch.inputs[{index}]", f"{sizes[index]} bytes; its shape needs {bound}{wanted[index]}")
