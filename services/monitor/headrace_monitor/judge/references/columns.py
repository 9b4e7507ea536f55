"""The monitored columns of a version and their types, from its contract alone."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from headrace.tensor.v1 import tensor_pb2

from headrace_monitor.record.log.columns import FEATURE_PREFIX, OUTPUT_PREFIX, Column, values_per_row
from headrace_monitor.record.log.contracts import VersionContract
from headrace_monitor.record.log.raw_values import rounded

# The log's own column: the class that was predicted.
LABEL = "prediction_label"
_TEXT = frozenset(("BYTES", "BOOL"))


class ColumnType(enum.StrEnum):
    """How the values of a column are compared."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class MonitoredColumn:
    """One monitored column.

    name: in references and reports. stored: in the log's Parquet. tensor, index: where its values are in the tensor;
    index None for a whole row. width: values of a row, None where that varies. low, high: range of the contract in the
    column's datatype, None where it declares none.
    """

    name: str
    stored: str
    tensor: str
    index: int | None
    datatype: str
    read_as: ColumnType
    width: int | None = 1
    low: float | None = None
    high: float | None = None
    prediction: bool = False

    @property
    def declared(self) -> tuple[float, float] | None:
        """Return the declared range, open where only one end is declared."""
        if self.low is None and self.high is None:
            return None
        return (-math.inf if self.low is None else self.low, math.inf if self.high is None else self.high)


def monitored_columns(version: VersionContract) -> tuple[MonitoredColumn, ...]:
    """Return the monitored columns of a version: inputs, outputs, and the predicted class."""
    contract = version.contract
    inputs = _judged(version.features, contract.inputs, FEATURE_PREFIX, prediction=False)
    taken = {column.name for column in inputs}
    outputs = [
        # An output may have an input's name; reports list both together.
        replace(column, name=column.stored) if column.name in taken else column
        for column in _judged(version.outputs, contract.outputs, OUTPUT_PREFIX, prediction=True)
    ]
    label = [] if _labels_are_an_output(contract, outputs) else [_LABEL_COLUMN]
    return (*inputs, *outputs, *label)


def columns_from_json(text: str) -> tuple[MonitoredColumn, ...]:
    """Return columns from JSON of their fields."""
    return tuple(MonitoredColumn(**{**each, "read_as": ColumnType(each["read_as"])}) for each in json.loads(text))


_LABEL_COLUMN = MonitoredColumn(LABEL, LABEL, LABEL, 0, "BYTES", ColumnType.CATEGORICAL, prediction=True)


def _judged(
    columns: Iterable[Column], specs: Iterable[tensor_pb2.TensorSpec], prefix: str, *, prediction: bool
) -> list[MonitoredColumn]:
    widths = {spec.name: values_per_row(spec.shape) for spec in specs}
    return [
        MonitoredColumn(
            name=column.name,
            stored=prefix + column.name,
            tensor=column.tensor,
            index=column.index,
            datatype=column.datatype,
            read_as=_read_as(column),
            width=widths[column.tensor],
            low=_bound(column.minimum, column.datatype),
            high=_bound(column.maximum, column.datatype),
            prediction=prediction,
        )
        for column in columns
    ]


def _bound(declared: float | None, datatype: str) -> float | None:
    """Return an end of a range as values that reach it have it; None where the datatype has no such number."""
    if declared is None:
        return None
    bound = float(rounded(np.array([declared]), datatype)[0])
    return bound if math.isfinite(bound) else None


def _read_as(column: Column) -> ColumnType:
    if column.index is None:
        return ColumnType.EMBEDDING
    if column.kind == tensor_pb2.TensorSpec.KIND_CATEGORICAL or column.datatype in _TEXT:
        return ColumnType.CATEGORICAL
    return ColumnType.NUMERIC


def _labels_are_an_output(contract: tensor_pb2.ServingContract, outputs: Iterable[MonitoredColumn]) -> bool:
    """Return whether an output already has the predicted class, so that no separate column is needed."""
    if contract.task != tensor_pb2.ServingContract.TASK_CLASSIFICATION:
        return True
    prediction = contract.prediction or (contract.outputs[0].name if contract.outputs else "")
    return any(column.tensor == prediction and column.read_as is ColumnType.CATEGORICAL for column in outputs)
