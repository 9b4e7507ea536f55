"""Tables as inputs: data frames, records, columns of Python values, by what the model takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from headrace.tensor.v1 import tensor_pb2
from numpy.typing import NDArray

from headrace_client.errors import invalid
from headrace_client.rows import cast_to_contract, check_columns, column, inputs_from_rows
from headrace_client.tensors import BFloat16, Input


@runtime_checkable
class Frame(Protocol):
    """A data frame of pandas, polars or another library: named columns that become arrays."""

    @property
    def columns(self) -> Any: ...

    def __getitem__(self, name: Any, /) -> Any: ...


Records = Sequence[Mapping[str, Any]]
# Arrays by input; a data frame; a list of records; or the one input as an array.
Inputs = Mapping[str, Input] | Frame | Records | NDArray[Any]


def typed_inputs(inputs: Inputs, contract: tensor_pb2.ServingContract) -> dict[str, Input]:
    """Return the tensors for inputs of any form, with the datatypes of the contract.

    Columns of a frame are inputs by their names, or the columns that the contract names for its one input; where it
    names none, they are the values of a row in their order. Missing values become NaN. Raises InvalidArgument naming
    the input.
    """
    if isinstance(inputs, Mapping):
        return {
            name: value if isinstance(value, BFloat16) else cast_to_contract(name, value, contract)
            for name, value in inputs.items()
        }
    if isinstance(inputs, Frame):
        return _from_columns({str(name): _values(inputs[name]) for name in inputs.columns}, contract)
    return inputs_from_rows(list(inputs), contract)


def _from_columns(columns: Mapping[str, Sequence[Any]], contract: tensor_pb2.ServingContract) -> dict[str, Input]:
    names = {spec.name for spec in contract.inputs}
    required = [spec for spec in contract.inputs if not spec.optional]
    if not names & set(columns) and len(required) == 1:
        (only,) = required
        if only.columns:
            check_columns(only, columns, "inputs")
            return {only.name: column(only, _joined(columns[name] for name in only.columns), "inputs")}
        if list(only.shape) in ([len(columns)], [-1]):
            return {only.name: column(only, _joined(columns.values()), "inputs")}
    if strange := [name for name in columns if name not in names]:
        raise invalid(f"inputs.{strange[0]}", f"is no input of the model; it takes {_described(contract)}")
    missing = [spec.name for spec in contract.inputs if not spec.optional and spec.name not in columns]
    if missing:
        raise invalid(f"inputs.{missing[0]}", f"is missing; the table has {', '.join(columns)}")
    return {
        spec.name: column(spec, columns[spec.name], f"inputs.{spec.name}")
        for spec in contract.inputs
        if spec.name in columns
    }


def _joined(columns: Iterable[Sequence[Any]]) -> NDArray[Any]:
    """Return rows of columns: numbers where all of them are numbers."""
    arrays = [one if isinstance(one, np.ndarray) else np.array(one, dtype=object) for one in columns]
    return np.stack(arrays, axis=1)


def _values(series: Any) -> Sequence[Any]:
    """Return the values of a column: an array of numbers, or a list of anything else with None for missing values."""
    array = np.asarray(series)
    if array.dtype.kind in "biuf":
        return cast("Sequence[Any]", array)
    return [None if _missing(value) else value for value in array.tolist()]


# pandas has four kinds of missing values, and none of them equals itself or is true.
def _missing(value: Any) -> bool:
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def _described(contract: tensor_pb2.ServingContract) -> str:
    return ", ".join(f"{spec.name} ({spec.datatype}{list(spec.shape) or ''})" for spec in contract.inputs)
