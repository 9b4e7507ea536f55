"""Batches of predictions into Arrow tables, one for each model, version and hour. Pure; odd data are nulls, counted.

Only the compactor imports this, in a thread: pyarrow takes a while to load.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from headrace.telemetry.v1 import telemetry_pb2

from headrace_monitor.record.log import answers, records
from headrace_monitor.record.log.columns import FEATURE_PREFIX, OUTPUT_PREFIX, Column
from headrace_monitor.record.log.contracts import VersionContract
from headrace_monitor.record.log.predicted import PredictionColumns, predicted
from headrace_monitor.record.log.raw_values import DATATYPES, Values, values_of

_HOUR_US = 3_600_000_000


class Partition(NamedTuple):
    """Where records belong."""

    model: str
    version: str
    hour: datetime


@dataclass(slots=True)
class DecodedBatch:
    """Tables by partition. odd: tensors of predictions that could not be read, which are nulls in the tables."""

    tables: dict[Partition, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))
    odd: int = 0


def decode(
    request: telemetry_pb2.ReportPredictionsRequest,
    contracts: Mapping[tuple[str, str], VersionContract],
    groups: Collection[int],
) -> DecodedBatch:
    """Return the records of some groups of a batch that was checked. contracts: by model and version.

    A group whose version has no contract, such as values that a route gives, has no features and no outputs.
    """
    found = DecodedBatch()
    batch = records.Batch.of(request)
    for index in groups:
        group = request.batch.groups[index]
        contract = contracts.get((group.model, group.version))
        of_group = np.flatnonzero(batch.group == index)
        taken_apart = answers.take_apart([batch.outputs[place] for place in of_group.tolist()])
        for members, layout in _by_layout(taken_apart):
            part = [taken_apart[member] for member in members]
            table = _table(batch, group, of_group[members], layout, part, contract, found)
            _share_out(table, group, found)
    return found


def join(tables: Iterable[pa.Table]) -> pa.Table:
    """Return one table with the records of several, which may lack columns of each other."""
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def _by_layout(found: list[answers.Answer]) -> Iterable[tuple[np.ndarray, answers.Layout]]:
    members: dict[answers.Layout, list[int]] = defaultdict(list)
    for place, answer in enumerate(found):
        members[answer.layout].append(place)
    return [(np.array(places), layout) for layout, places in members.items()]


def _table(
    batch: records.Batch,
    group: telemetry_pb2.PredictionGroup,
    places: np.ndarray,
    layout: answers.Layout,
    taken_apart: list[answers.Answer],
    contract: VersionContract | None,
    found: DecodedBatch,
) -> pa.Table:
    """Return the records of predictions of a group whose answers have one layout."""
    rows = batch.rows[places]
    columns = records.common_columns(batch, group, places)
    outputs: dict[str, Values] = {}
    if contract is not None:
        wanted = _by_tensor(contract.features)
        for number, one in enumerate(group.inputs):
            raw = [batch.inputs[place] for place in (batch.input_offsets[places] + number).tolist()]
            values = _read(one.datatype, tuple(one.shape), raw, rows, wanted.get(one.name, ()), found)
            columns |= _columns(FEATURE_PREFIX, wanted.get(one.name, ()), values)
        wanted = _by_tensor(contract.outputs)
        for number, one in enumerate(layout):
            # Values for another number of rows than the prediction has are as good as none.
            raw = [
                answer.raw[number] if answer.rows == wanted_rows else b""
                for answer, wanted_rows in zip(taken_apart, rows.tolist(), strict=True)
            ]
            values = _read(one.datatype, one.shape, raw, rows, wanted.get(one.name, ()), found)
            columns |= _columns(OUTPUT_PREFIX, wanted.get(one.name, ()), values)
            if values is not None:
                outputs[one.name] = values
        if not layout:
            found.odd += len(places)
    columns |= _prediction(None if contract is None else predicted(contract.contract, outputs), int(rows.sum()))
    return pa.table(columns)


def _by_tensor(columns: Iterable[Column]) -> dict[str, list[Column]]:
    found: dict[str, list[Column]] = defaultdict(list)
    for column in columns:
        found[column.tensor].append(column)
    return found


def _read(
    datatype: str,
    shape: tuple[int, ...],
    raw: list[bytes],
    rows: np.ndarray,
    columns: Collection[Column],
    found: DecodedBatch,
) -> Values | None:
    """Return a tensor's values; None for one that is not to be stored, or is not what the contract says."""
    if not columns:
        return None
    width = math.prod(shape)
    first = next(iter(columns))
    promised = not first.is_list and width != len(columns)
    if datatype != first.datatype or datatype not in DATATYPES or width < 0 or promised:
        found.odd += len(raw)
        return None
    values = values_of(datatype, raw, rows, width)
    if values is None:
        found.odd += len(raw)
    elif values.unreadable is not None:
        found.odd += int(values.unreadable[np.cumsum(rows) - rows].sum())
    return values


def _columns(prefix: str, columns: Collection[Column], values: Values | None) -> dict[str, pa.Array]:
    if values is None:
        return {}
    first = next(iter(columns))
    if first.is_list:
        return {f"{prefix}{first.name}": _lists(values)}
    transposed = np.ascontiguousarray(values.array.T)
    return {
        f"{prefix}{column.name}": pa.array(transposed[column.index], type=_arrow_type(values), mask=values.unreadable)
        for column in columns
    }


def _lists(values: Values) -> pa.Array:
    rows, width = values.array.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    flat = pa.array(values.array.ravel(), type=_arrow_type(values))
    mask = None if values.unreadable is None else pa.array(values.unreadable)
    return pa.ListArray.from_arrays(offsets, flat, mask=mask)


def _arrow_type(values: Values) -> pa.DataType | None:
    return pa.string() if values.is_text else None


def _prediction(found: PredictionColumns | None, rows: int) -> dict[str, pa.Array]:
    def column(values: np.ndarray | None, kind: pa.DataType) -> pa.Array:
        if found is None or values is None:
            return pa.nulls(rows, kind)
        return pa.array(values, type=kind, mask=~found.known)

    return {
        "prediction_label": column(found and found.label, pa.string()),
        "prediction_value": column(found and found.value, pa.float64()),
        "prediction_score": column(found and found.score, pa.float64()),
    }


def _share_out(table: pa.Table, group: telemetry_pb2.PredictionGroup, found: DecodedBatch) -> None:
    """Give each record to the partition of its hour."""
    hours = table["answer_time"].cast(pa.int64()).to_numpy() // _HOUR_US
    for hour in np.unique(hours).tolist():
        partition = Partition(group.model, group.version, datetime.fromtimestamp(hour * 3600, UTC))
        found.tables[partition].append(table if (hours == hour).all() else table.filter(pa.array(hours == hour)))
