"""Expected outputs that a version brings along: the JSON artifact `validation.json`.

    {"inputs": {"image": [[0, 5, …], …]}, "outputs": {"probabilities": [[0.1, …], …]}, "labels": [3, …]}

`inputs` has every input of the contract by name, one entry per row; `outputs` has what the model answered where it was
made, of as many outputs as one likes. Other members, such as the true labels, are for others. Without `outputs` there
is nothing to compare.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from headrace_runtime import shapes
from headrace_runtime.contract import BYTES, Contract, TensorSpec
from headrace_runtime.shapes import FIXED, Layout, OutputTensor, WrongInput, WrongOutput

ARTIFACT = "validation.json"
# Reading JSON stops the event loop, whatever thread it is done in: some 20 ms for this much.
MAX_BYTES = 2 * 1024 * 1024
MAX_ROWS = 1024

_DTYPES = {
    "BOOL": "?", "UINT8": "u1", "INT8": "i1", "UINT16": "<u2", "INT16": "<i2", "FP16": "<f2", "UINT32": "<u4",
    "INT32": "<i4", "FP32": "<f4", "UINT64": "<u8", "INT64": "<i8", "FP64": "<f8",
}  # fmt: skip


class UnreadableValidation(Exception):
    """The file is not what it should be; the message says where."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to execute and what they should give, by the name of the output."""

    layout: Layout
    rows: int
    inputs: list[bytes]
    expected: Mapping[str, np.ndarray]

    def difference(self, outputs: Sequence[OutputTensor]) -> float:
        """Return the largest absolute difference of any value; infinite where one is not a number and the other is.

        Raises WrongOutput when an output is missing or has another size.
        """
        largest = 0.0
        by_name = {output.name: output for output in outputs}
        for name, expected in self.expected.items():
            output = by_name.get(name)
            dtype = None if output is None else _DTYPES.get(output.datatype)
            if output is None or dtype is None:
                raise WrongOutput(f"output '{name}' is missing or has no numbers")
            try:
                values = np.frombuffer(output.data, dtype).astype(np.float64)
            except ValueError as error:
                raise WrongOutput(f"output '{name}' cannot be read: {error}") from None
            if values.size != expected.size:
                raise WrongOutput(f"output '{name}' has {values.size} values, {expected.size} are expected")
            largest = max(largest, _largest(values, expected.ravel()))
        return largest


@dataclass(frozen=True, slots=True)
class Examples:
    """All rows of a file. inputs: in the order of the layout."""

    layout: Layout
    inputs: list[np.ndarray]
    expected: Mapping[str, np.ndarray]

    def batches(self, max_rows: int) -> Iterator[Batch]:
        """Yield the rows in batches."""
        rows = len(self.inputs[0])
        for start in range(0, rows, max_rows):
            end = min(start + max_rows, rows)
            yield Batch(
                self.layout,
                end - start,
                [_raw(array[start:end]) for array in self.inputs],
                {name: array[start:end] for name, array in self.expected.items()},
            )


def read(path: Path, contract: Contract) -> Examples | None:
    """Return the rows of a file, at most `MAX_ROWS`; None when it expects nothing. Blocks.

    Raises UnreadableValidation.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableValidation(f"{ARTIFACT} is larger than {MAX_BYTES} bytes")
        content = json.loads(path.read_bytes())
        outputs = content.get("outputs") or {}
        if not outputs:
            return None
        return _examples(content["inputs"], outputs, contract)
    except OSError as error:  # nothing else wanted it, and there was no room for it
        raise UnreadableValidation(f"{ARTIFACT} is not there any more: {error.strerror}") from None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError, WrongInput) as error:
        raise UnreadableValidation(f"{ARTIFACT} cannot be read: {error}") from None


def _examples(inputs: Mapping[str, Any], outputs: Mapping[str, Any], contract: Contract) -> Examples:
    layout = shapes.layout_of(contract, FIXED)
    arrays = [_array(inputs[spec.name], spec, texts=True)[:MAX_ROWS] for spec in layout.inputs]
    by_name = {spec.name: spec for spec in contract.outputs}
    expected = {}
    for name, values in outputs.items():
        if name not in by_name:
            raise UnreadableValidation(f"{ARTIFACT} expects an output '{name}', which the model does not have")
        expected[name] = _array(values, by_name[name])[:MAX_ROWS].astype(np.float64)
    if not arrays or len({len(array) for array in [*arrays, *expected.values()]}) != 1:
        raise UnreadableValidation(f"{ARTIFACT} does not have the same number of rows everywhere")
    if not len(arrays[0]):
        raise UnreadableValidation(f"{ARTIFACT} has no rows")
    return Examples(layout, arrays, expected)


def _raw(array: np.ndarray) -> bytes:
    """Return the bytes of a tensor; before each text stands its length."""
    if array.dtype != object:
        return array.tobytes()
    texts = [text.encode() for text in array.ravel()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _array(values: Any, spec: TensorSpec, *, texts: bool = False) -> np.ndarray:
    """Return the rows of a tensor. texts: whether they may be texts, which outputs are not compared by."""
    dtype = object if texts and spec.datatype == BYTES else _DTYPES.get(spec.datatype)
    if dtype is None:
        raise UnreadableValidation(f"'{spec.name}' is {spec.datatype}, which is not compared")
    array = np.asarray(values, dtype=dtype)
    if dtype is object and not all(isinstance(text, str) for text in array.ravel()):
        raise UnreadableValidation(f"'{spec.name}' is not texts in rows of one shape in {ARTIFACT}")
    if not array.ndim:
        raise UnreadableValidation(f"'{spec.name}' is one value in {ARTIFACT}, not a list of rows")
    row_values = math.prod(array.shape[1:])
    if -1 not in spec.row_shape and row_values != math.prod(spec.row_shape):
        raise UnreadableValidation(f"rows of '{spec.name}' have {row_values} values in {ARTIFACT}")
    return array


def _largest(values: np.ndarray, expected: np.ndarray) -> float:
    same = (values == expected) | (np.isnan(values) & np.isnan(expected))
    if same.all():
        return 0.0
    difference = np.abs(values[~same] - expected[~same])
    return math.inf if np.isnan(difference).any() else float(difference.max())
