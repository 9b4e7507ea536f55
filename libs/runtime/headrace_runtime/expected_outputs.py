"""Expected outputs that a version brings along: the JSON artifact `validation.json`.

    {"inputs": {"image": [[0, 5, …], …]}, "outputs": {"probabilities": [[0.1, …], …]}, "labels": [3], "tolerance": 0.01}

`inputs` has every input of the contract by name, one entry per row; `outputs` has what the model answered where it was
made, of as many outputs as one likes. Values may differ by `tolerance`, and by as large a share of the expected value:
0.001 unless it is stated; texts are the same or not. Other members, such as the true labels, are for others. Without
`outputs` there is nothing to compare.
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
from headrace_runtime.shapes import Layout, OutputTensor, ShapeKey, WrongInput, WrongOutput

ARTIFACT = "validation.json"
# Reading JSON stops the event loop, whatever thread it is done in: some 20 ms for this much.
MAX_BYTES = 2 * 1024 * 1024
MAX_ROWS = 1024
TOLERANCE = 1e-3
# In the place of a difference that is infinite: what keeps metrics takes numbers.
_BEYOND = 1e9

_DTYPES = {
    "BOOL": "?", "UINT8": "u1", "INT8": "i1", "UINT16": "<u2", "INT16": "<i2", "FP16": "<f2", "UINT32": "<u4",
    "INT32": "<i4", "FP32": "<f4", "UINT64": "<u8", "INT64": "<i8", "FP64": "<f8",
}  # fmt: skip


class UnreadableValidation(Exception):
    """The file is not what it should be; the message says where."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Between answers and what was expected. largest: of any value; infinite where only one of two is a number. over:
    the largest beside its tolerance, at most 1 where the outputs hold. where: the value of which that is said.
    """

    largest: float = 0.0
    over: float = 0.0
    where: str = ""

    def and_also(self, other: Difference) -> Difference:
        """Return what is said of both."""
        return Difference(max(self.largest, other.largest), *max((self.over, self.where), (other.over, other.where)))


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to execute and what they should give, by the name of the output. first: the number of the first row."""

    layout: Layout
    rows: int
    inputs: list[bytes]
    expected: Mapping[str, np.ndarray]
    tolerance: float
    first: int

    def difference(self, outputs: Sequence[OutputTensor]) -> Difference:
        """Compare with what is expected. Raises WrongOutput when an output is missing or has another size."""
        found = Difference()
        by_name = {output.name: output for output in outputs}
        for name, expected in self.expected.items():
            if (output := by_name.get(name)) is None:
                raise WrongOutput(f"output '{name}' is missing")
            values = _values(output)
            if values.size != expected.size:
                raise WrongOutput(f"output '{name}' has {values.size} values, {expected.size} are expected")
            compare = self._of_texts if expected.dtype == object else self._of_numbers
            found = found.and_also(compare(name, values.reshape(expected.shape), expected))
        return found

    def _of_texts(self, name: str, values: np.ndarray, expected: np.ndarray) -> Difference:
        others = np.argwhere(values != expected)
        if not len(others):
            return Difference()
        at = tuple(others[0])
        where = f"'{name}' of row {self.first + int(at[0])} is {values[at]!r:.80} instead of {expected[at]!r:.80}"
        return Difference(0.0, _BEYOND, where)

    def _of_numbers(self, name: str, values: np.ndarray, expected: np.ndarray) -> Difference:
        same = (values == expected) | (np.isnan(values) & np.isnan(expected))
        if same.all():
            return Difference()
        with np.errstate(invalid="ignore"):
            off = np.where(same, 0.0, np.nan_to_num(np.abs(values - expected), nan=math.inf))
            allowed = np.nan_to_num(self.tolerance * (1.0 + np.abs(expected)), nan=1.0, posinf=1.0)
        over = np.minimum(off / np.maximum(allowed, 1e-300), _BEYOND)
        at = np.unravel_index(int(over.argmax()), over.shape)
        where = f"'{name}' of row {self.first + int(at[0])} is {values[at]:.6g} instead of {expected[at]:.6g}"
        return Difference(float(off.max()), float(over[at]), where)


@dataclass(frozen=True, slots=True)
class Examples:
    """All rows of a file. inputs: in the order of the layout."""

    layout: Layout
    inputs: list[np.ndarray]
    expected: Mapping[str, np.ndarray]
    tolerance: float = TOLERANCE

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
                self.tolerance,
                start,
            )


def difference(outputs: Sequence[OutputTensor], reference: Sequence[OutputTensor], rows: int) -> Difference:
    """Compare two answers to the same rows, with the usual tolerance. Raises WrongOutput when their forms differ."""
    forms = [{(one.name, one.datatype, one.shape) for one in answer} for answer in (outputs, reference)]
    if forms[0] != forms[1]:
        raise WrongOutput("outputs differ in name, datatype or shape")
    expected = {one.name: _values(one).reshape(one.shape) for one in reference}
    return Batch(shapes.Layout((), (), (), ()), rows, [], expected, TOLERANCE, 0).difference(outputs)


def read(path: Path, contract: Contract) -> Examples | None:
    """Return the rows of a file, at most `MAX_ROWS`; None when it expects nothing. Blocks.

    Raises UnreadableValidation.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableValidation(f"{ARTIFACT} is larger than {MAX_BYTES} bytes")
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise UnreadableValidation(
                f"{ARTIFACT} is a {type(content).__name__}, not an object with inputs and outputs"
            )
        outputs = content.get("outputs") or {}
        if not outputs:
            return None
        return _examples(content["inputs"], outputs, contract, content.get("tolerance", TOLERANCE))
    except OSError as error:  # nothing else wanted it, and there was no room for it
        raise UnreadableValidation(f"{ARTIFACT} is not there any more: {error.strerror}") from None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError, WrongInput) as error:
        raise UnreadableValidation(f"{ARTIFACT} cannot be read: {error}") from None


def _examples(inputs: Mapping[str, Any], outputs: Mapping[str, Any], contract: Contract, tolerance: Any) -> Examples:
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0.0 <= tolerance <= 1e9:
        raise UnreadableValidation(f"'tolerance' of {ARTIFACT} must be a number from 0 up, not {tolerance!r:.40}")
    if missing := [spec.name for spec in contract.inputs if spec.name not in inputs]:
        raise UnreadableValidation(f"{ARTIFACT} has no rows of the input '{missing[0]}'")
    arrays = [_array(inputs[spec.name], spec)[:MAX_ROWS] for spec in contract.inputs]
    layout = shapes.layout_of(contract, ShapeKey((), _variable_sizes(contract, arrays)))
    by_name = {spec.name: spec for spec in contract.outputs}
    expected = {}
    for name, values in outputs.items():
        if name not in by_name:
            raise UnreadableValidation(f"{ARTIFACT} expects an output '{name}', which the model does not have")
        array = _array(values, by_name[name])[:MAX_ROWS]
        expected[name] = array if array.dtype == object else array.astype(np.float64)
    if not arrays or len({len(array) for array in [*arrays, *expected.values()]}) != 1:
        raise UnreadableValidation(f"{ARTIFACT} does not have the same number of rows everywhere")
    if not len(arrays[0]):
        raise UnreadableValidation(f"{ARTIFACT} has no rows")
    return Examples(layout, arrays, expected, float(tolerance))


def _variable_sizes(contract: Contract, arrays: Sequence[np.ndarray]) -> tuple[int, ...]:
    """Return the sizes that rows have where the contract leaves them open. Raises WrongInput."""
    sizes: list[int] = []
    for spec, array in zip(contract.inputs, arrays, strict=True):
        if -1 in spec.row_shape:
            if array.ndim - 1 != len(spec.row_shape):
                raise WrongInput(f"rows of '{spec.name}' have {array.ndim - 1} dimensions, not {len(spec.row_shape)}")
            sizes += [size for size, declared in zip(array.shape[1:], spec.row_shape, strict=True) if declared == -1]
    return tuple(sizes)


def _raw(array: np.ndarray) -> bytes:
    """Return the bytes of a tensor; before each text stands its length."""
    if array.dtype != object:
        return array.tobytes()
    texts = [text.encode() for text in array.ravel()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _values(output: OutputTensor) -> np.ndarray:
    """Return the values of an output: float64, or str of BYTES. Raises WrongOutput."""
    try:
        if output.datatype == BYTES:
            return np.array([data.decode(errors="replace") for data in _split(bytes(output.data))], dtype=object)
        return np.frombuffer(output.data, _DTYPES[output.datatype]).astype(np.float64)
    except (KeyError, ValueError) as error:
        raise WrongOutput(f"output '{output.name}' cannot be read: {error}") from None


def _split(data: bytes) -> Iterator[bytes]:
    """Yield the elements of a BYTES tensor, each behind its length. Raises ValueError for a length beyond the end."""
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            raise ValueError(f"the element at byte {at} ends beyond the {len(data)} that there are")
        yield data[at + 4 : end]
        at = end


def _array(values: Any, spec: TensorSpec) -> np.ndarray:
    """Return the rows of a tensor: texts as str."""
    dtype = object if spec.datatype == BYTES else _DTYPES.get(spec.datatype)
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
