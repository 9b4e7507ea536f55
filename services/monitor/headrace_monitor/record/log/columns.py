"""What a serving contract's tensors are called as columns: in Parquet, SQL, references and drift reports alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from headrace.tensor.v1 import tensor_pb2

Kind = tensor_pb2.TensorSpec.Kind

FEATURE_PREFIX = "feature."
OUTPUT_PREFIX = "output."

# A row of more values is one list: that many columns no engine reads with pleasure.
MAX_VALUES = 1024


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the log.

    name: without prefix. index: of the value in a row of the tensor; None where the whole row is one list.
    datatype: of the Open Inference Protocol. minimum, maximum: as the contract declares them.
    """

    name: str
    tensor: str
    index: int | None
    datatype: str
    kind: Kind
    minimum: float | None = None
    maximum: float | None = None

    @property
    def is_list(self) -> bool:
        """Return whether a row of it is a list of values."""
        return self.index is None


def feature_columns(contract: tensor_pb2.ServingContract) -> tuple[Column, ...]:
    """Return the columns of the inputs that may be stored, in the contract's order."""
    return _columns(contract.inputs)


def output_columns(contract: tensor_pb2.ServingContract) -> tuple[Column, ...]:
    """Return the columns of the outputs that may be stored, in the contract's order."""
    return _columns(contract.outputs)


def values_per_row(shape: Sequence[int]) -> int | None:
    """Return how many values a row of that shape has; None when it varies."""
    return None if any(size < 0 for size in shape) else math.prod(shape)


def _columns(specs: Iterable[tensor_pb2.TensorSpec]) -> tuple[Column, ...]:
    found = [column for spec in specs if not spec.sensitive for column in _of_tensor(spec)]
    taken: set[str] = set()
    return tuple(_named_once(column, taken) for column in found)


def _of_tensor(spec: tensor_pb2.TensorSpec) -> list[Column]:
    values = values_per_row(spec.shape)
    whole = Column(
        spec.name,
        spec.name,
        None,
        spec.datatype,
        spec.kind,
        spec.minimum if spec.HasField("minimum") else None,
        spec.maximum if spec.HasField("maximum") else None,
    )
    if spec.kind == tensor_pb2.TensorSpec.KIND_EMBEDDING or values is None or not 0 < values <= MAX_VALUES:
        return [whole]
    if values == 1 and not spec.columns:
        return [replace(whole, index=0)]
    names = spec.columns if len(spec.columns) == values else [str(index) for index in range(values)]
    return [replace(whole, name=f"{spec.name}.{name}", index=index) for index, name in enumerate(names)]


def _named_once(column: Column, taken: set[str]) -> Column:
    """Return the column under a unique name: tensor `a` column `b` is not tensor `a.b`, and SQL ignores case."""
    name, number = column.name, 1
    while name.casefold() in taken:
        number += 1
        name = f"{column.name}~{number}"
    taken.add(name.casefold())
    return replace(column, name=name)
