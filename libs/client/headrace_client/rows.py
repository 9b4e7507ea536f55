"""JSON rows as input tensors: what a person types, read by the serving contract of the version."""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from headrace.tensor.v1 import tensor_pb2
from numpy.typing import ArrayLike, NDArray

from headrace_client.errors import invalid
from headrace_client.tensors import NUMPY_TYPES, BFloat16, Input

_FLOATS = frozenset(("FP16", "BF16", "FP32", "FP64"))


def inputs_from_rows(rows: Any, contract: tensor_pb2.ServingContract) -> dict[str, Input]:
    """Return the input tensors for rows, each an object `{"input": value}`, or the bare value where there is one input,
    or an object by column where its contract names these.

    Raises InvalidArgument naming the row and the input.
    """
    if not isinstance(rows, list) or not rows:
        raise invalid("rows", "must be a list with at least one row, such as [[0, 1, 2]]")
    if all(isinstance(row, dict) for row in rows):
        return _from_objects(rows, contract.inputs)
    spec = single_input(contract)
    return {spec.name: column(spec, rows, "rows")}


def single_input(contract: tensor_pb2.ServingContract) -> tensor_pb2.TensorSpec:
    """Return the one input that must be given. Raises InvalidArgument listing the inputs when there are several."""
    required = [spec for spec in contract.inputs if not spec.optional]
    if len(required) == 1:
        return required[0]
    names = ", ".join(spec.name for spec in contract.inputs)
    raise invalid("rows", f"the model takes several inputs ({names}); name them: rows as objects, files as NAME=FILE")


def cast_to_contract(name: str, values: ArrayLike, contract: tensor_pb2.ServingContract) -> Input:
    """Return the values of an input with the datatype that the contract has for it.

    Raises InvalidArgument for inputs that the contract does not have, and for values that its datatype cannot hold.
    """
    spec = next((spec for spec in contract.inputs if spec.name == name), None)
    if spec is None:
        known = ", ".join(spec.name for spec in contract.inputs)
        raise invalid(f"inputs.{name}", f"the model has no such input; it takes {known}")
    return column(spec, values, f"inputs.{name}")


def to_json_value(array: NDArray[Any]) -> Any:
    """Return an array as nested lists that JSON can hold.

    NaN and infinities become the strings that protobuf's JSON uses; bytes become text, or base64 if they are no UTF-8.
    """
    return _json(array.tolist())


def _from_objects(rows: Sequence[Mapping[str, Any]], specs: Iterable[tensor_pb2.TensorSpec]) -> dict[str, Input]:
    known = {spec.name: spec for spec in specs}
    if len(known) == 1 and (only := next(iter(known.values()))).columns and all(only.name not in row for row in rows):
        for at, row in enumerate(rows):
            check_columns(only, row, f"rows[{at}]")
        return {only.name: column(only, [[row[name] for name in only.columns] for row in rows], "rows")}
    for index, row in enumerate(rows):
        for name in row:
            if name not in known:
                raise invalid(f"rows[{index}].{name}", f"the model has no such input; it takes {', '.join(known)}")
    inputs: dict[str, Input] = {}
    for name, spec in known.items():
        missing = [index for index, row in enumerate(rows) if name not in row]
        if len(missing) == len(rows) and spec.optional:
            continue
        if missing:
            raise invalid(f"rows[{missing[0]}].{name}", "is missing")
        inputs[name] = column(spec, [row[name] for row in rows], f"rows[].{name}")
    return inputs


def check_columns(spec: tensor_pb2.TensorSpec, names: Collection[str], field: str) -> None:
    """Check names against the columns that a contract has for an input. Raises InvalidArgument, with the name."""
    for name in names:
        if name not in spec.columns:
            raise invalid(f"{field}.{name}", f"the model has no such column; it takes {', '.join(spec.columns)}")
    for name in spec.columns:
        if name not in names:
            raise invalid(f"{field}.{name}", "is missing")


def column(spec: tensor_pb2.TensorSpec, values: ArrayLike, field: str) -> Input:
    """Return the values of all rows as the tensor that a specification describes. Raises InvalidArgument."""
    try:
        # A guess of numpy's would turn text mixed with numbers into text.
        array = np.array(values, dtype=object) if spec.datatype == "BYTES" else np.asarray(values)
    except ValueError as error:
        raise invalid(field, "rows have different shapes") from error
    array = _with_nan(spec, array, field)
    wanted = 1 + len(spec.shape)
    if array.ndim == 1 and list(spec.shape) == [1]:
        array = array[:, np.newaxis]  # one value per row, as the front door's JSON takes it
    if array.ndim == wanted - 1 and field == "rows":
        raise invalid(field, f"looks like one row; rows are a list of rows: put [ ] around it (input '{spec.name}')")
    if array.ndim != wanted:
        raise invalid(field, f"input '{spec.name}' has {wanted} dimensions, rows first; these have {array.ndim}")
    return _typed(spec, array, field)


def _with_nan(spec: tensor_pb2.TensorSpec, array: NDArray[Any], field: str) -> NDArray[Any]:
    """Return an array with NaN for null, as the front door's JSON takes it. Raises InvalidArgument for one too many."""
    if array.dtype != object or spec.datatype not in _FLOATS:
        return array
    missing = np.array([value is None for value in array.ravel()]).reshape(array.shape)
    if not missing.any():
        return array
    if not spec.nan_allowed:
        remedy = f"models register --allow-nan {spec.name}"
        raise invalid(field, f"has null, and input '{spec.name}' allows no NaN: {remedy}")
    numbers = array[~missing]
    if any(type(value) not in (int, float) for value in numbers):
        return array
    filled = np.full(array.shape, np.nan)
    filled[~missing] = numbers.astype(np.float64)
    return filled


def _typed(spec: tensor_pb2.TensorSpec, array: NDArray[Any], field: str) -> Input:
    if spec.datatype == "BYTES":
        return array
    if array.dtype == object and spec.datatype not in _FLOATS and any(value is None for value in array.ravel()):
        raise invalid(field, f"has a missing value, which input '{spec.name}', {spec.datatype}, cannot hold")
    if array.dtype.kind not in "biuf":
        raise invalid(field, f"input '{spec.name}' takes {spec.datatype} numbers, not {array.dtype}")
    if spec.datatype == "BF16":
        return BFloat16(array.astype(np.float32))
    with np.errstate(over="ignore", invalid="ignore"):
        typed = array.astype(NUMPY_TYPES[spec.datatype])
    # Rounding of floats is what people expect; 1.5 as an integer, 300 as a UINT8 or 1e300 as an FP32 is a mistake.
    whole = typed.dtype.kind != "f" or array.dtype.kind in "iu"
    if not (np.array_equal(typed, array) if whole else np.array_equal(np.isinf(typed), np.isinf(array))):
        raise invalid(field, f"input '{spec.name}' is {spec.datatype}, which cannot hold all of these values")
    return typed


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return value
