"""Which columns of a version are judged, and as what: from its contract, before anybody looks at a value."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from headrace.tensor.v1 import tensor_pb2

from headrace_monitor.log.columns import FEATURE_PREFIX, OUTPUT_PREFIX, Column, values_per_row
from headrace_monitor.log.contracts import VersionContract

# The log's own column: the class that was predicted.
LABEL = "prediction_label"
_TEXT = frozenset(("BYTES", "BOOL"))


class JudgedAs(enum.StrEnum):
    """How values are read."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class Judged:
    """One column that is judged.

    name: in references and reports. stored: in the log's Parquet. tensor, index: where its values are in the tensor;
    index None for a whole row. width: values of a row, None where that varies. low, high: range of the contract, None
    where it declares none.
    """

    name: str
    stored: str
    tensor: str
    index: int | None
    datatype: str
    read_as: JudgedAs
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


def judged_columns(version: VersionContract) -> tuple[Judged, ...]:
    """Return what is judged of a version: inputs, outputs, and the predicted class."""
    contract = version.contract
    inputs = _judged(version.features, contract.inputs, FEATURE_PREFIX, prediction=False)
    taken = {column.name for column in inputs}
    outputs = [
        # An output may have an input's name; in reports both stand in one list.
        replace(column, name=column.stored) if column.name in taken else column
        for column in _judged(version.outputs, contract.outputs, OUTPUT_PREFIX, prediction=True)
    ]
    label = [] if _labels_are_an_output(contract, outputs) else [_LABEL_COLUMN]
    return (*inputs, *outputs, *label)


def judged_of_json(text: str) -> tuple[Judged, ...]:
    """Return columns from JSON of their fields."""
    return tuple(Judged(**{**each, "read_as": JudgedAs(each["read_as"])}) for each in json.loads(text))


_LABEL_COLUMN = Judged(LABEL, LABEL, LABEL, 0, "BYTES", JudgedAs.CATEGORICAL, prediction=True)


def _judged(
    columns: Iterable[Column], specs: Iterable[tensor_pb2.TensorSpec], prefix: str, *, prediction: bool
) -> list[Judged]:
    widths = {spec.name: values_per_row(spec.shape) for spec in specs}
    return [
        Judged(
            name=column.name,
            stored=prefix + column.name,
            tensor=column.tensor,
            index=column.index,
            datatype=column.datatype,
            read_as=_read_as(column),
            width=widths[column.tensor],
            low=column.minimum,
            high=column.maximum,
            prediction=prediction,
        )
        for column in columns
    ]


def _read_as(column: Column) -> JudgedAs:
    if column.index is None:
        return JudgedAs.EMBEDDING
    if column.kind == tensor_pb2.TensorSpec.KIND_CATEGORICAL or column.datatype in _TEXT:
        return JudgedAs.CATEGORICAL
    return JudgedAs.NUMERIC


def _labels_are_an_output(contract: tensor_pb2.ServingContract, outputs: Iterable[Judged]) -> bool:
    """Return whether there is no predicted class beside what an output says anyway."""
    if contract.task != tensor_pb2.ServingContract.TASK_CLASSIFICATION:
        return True
    prediction = contract.prediction or (contract.outputs[0].name if contract.outputs else "")
    return any(column.tensor == prediction and column.read_as is JudgedAs.CATEGORICAL for column in outputs)
