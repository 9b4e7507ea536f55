"""JSON values of tensors: rows as nested lists to raw bytes, and raw bytes back to what orjson can write.

Numbers stay exact: FP32 is written in its shortest form that reads back as the same FP32. What JSON has no number for
is written as in proto JSON: "NaN", "Infinity", "-Infinity". BYTES are UTF-8 strings, or {"b64": "…"} for other bytes.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from headrace_servicekit.errors import FieldViolation

from headrace_router.data.tables.contract import LENGTH_PREFIX_BYTES, MAX_VIOLATIONS, Spec

# struct's codes of the datatypes; BF16 has none and is made from FP32.
_CODES = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
    "INT64": "q", "FP16": "e", "BF16": "f", "FP32": "f", "FP64": "d",
}  # fmt: skip
_NUMPY = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "<i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_FLOATS = frozenset(("FP16", "BF16", "FP32", "FP64"))
_NO_NUMBER = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TYPES: dict[str, frozenset[type]] = {
    "BOOL": frozenset((bool,)),
    "BYTES": frozenset((str,)),
} | {name: frozenset((int, float)) if name in _FLOATS else frozenset((int,)) for name in _CODES if name != "BOOL"}
_B64 = "b64"

Where = Callable[[int], str]


class WrongValues(Exception):
    """Values that are not what the contract says; one violation per row at fault."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        super().__init__(violations[0].description)
        self.violations = tuple(violations)


def encode(spec: Spec, rows: Sequence[Any], where: Where) -> tuple[bytes, tuple[int, ...]]:
    """Return the raw content of one input and the shape of a row, from one JSON value per row.

    where: names a row for errors. Raises WrongValues.
    """
    flat: list[Any] = []
    shape: tuple[int, ...] | None = None
    wrong: list[FieldViolation] = []
    for index, row in enumerate(rows):
        try:
            found = _flatten(spec, row, flat)
            if shape is not None and found != shape:
                raise ValueError(f"shape {_shown(found)} where the rows before have {_shown(shape)}")
            shape = found
        except ValueError as error:
            wrong.append(FieldViolation(where(index), str(error)))
            if len(wrong) == MAX_VIOLATIONS:
                break
    if wrong:
        raise WrongValues(wrong)
    shape = shape or ()
    try:
        return pack(spec, flat), shape
    except (struct.error, OverflowError, ValueError):
        size = max(1, math.prod(shape))
        found = faults(spec, flat, size)
        raise WrongValues([FieldViolation(where(index), problem) for index, problem in found]) from None


def decode(datatype: str, shape: Sequence[int], content: bytes) -> Any:
    """Return the values of one output as an array or nested lists, which orjson writes with OPT_SERIALIZE_NUMPY."""
    if datatype == "BYTES":
        return _nested([_text(item) for item in _elements(content)], shape)
    if datatype == "BF16":  # the upper half of an FP32
        array = (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        array = np.frombuffer(content, _NUMPY[datatype])
    if datatype in _FLOATS and not np.isfinite(array).all():
        return _nested([_number(item) for item in array], shape)
    return array.reshape(tuple(shape))


def _flatten(spec: Spec, row: Any, flat: list[Any]) -> tuple[int, ...]:
    """Append the values of one row to `flat`; return its shape. Raises ValueError saying what is wrong."""
    shape = spec.shape
    if type(row) is dict and not (spec.datatype == "BYTES" and set(row) == {_B64}):
        flat += _by_column(spec, row)
        return shape
    if len(shape) == 1 and type(row) is list:
        if len(row) != shape[0] and shape[0] != -1:
            raise ValueError(f"{len(row)} values where the contract has {shape[0]}")
        flat += row
        return (len(row),)
    if not shape:
        flat.append(row)
        return ()
    if shape == (1,) and type(row) is not list:  # [3] may be written 3
        flat.append(row)
        return shape
    sizes: list[int] = []
    _descend(shape, row, 0, sizes, flat)
    return tuple(sizes)


def _descend(shape: tuple[int, ...], value: Any, depth: int, sizes: list[int], flat: list[Any]) -> None:
    if type(value) is not list:
        raise ValueError(f"{_kind(value)} where a list of {_size(shape[depth])} is needed, at depth {depth + 1}")
    if len(sizes) == depth:
        sizes.append(len(value))
    if len(value) != sizes[depth] or shape[depth] not in (-1, len(value)):
        wanted = sizes[depth] if shape[depth] == -1 else shape[depth]
        raise ValueError(f"a list of {len(value)} where one of {wanted} is needed, at depth {depth + 1}")
    if depth == len(shape) - 1:
        flat += value
        return
    for item in value:
        _descend(shape, item, depth + 1, sizes, flat)
    if not value:
        sizes += [0] * (len(shape) - len(sizes))


def _by_column(spec: Spec, row: dict[str, Any]) -> list[Any]:
    if not spec.columns:
        raise ValueError(f"an object, but input '{spec.name}' names no columns: give a list")
    if len(row) == len(spec.columns):
        try:
            return [row[column] for column in spec.columns]
        except KeyError:
            pass
    unknown = [name for name in row if name not in spec.columns]
    missing = [name for name in spec.columns if name not in row]
    problem = [f"unknown column {name!r}" for name in unknown[:3]] + [
        f"column {name!r} is missing" for name in missing[:3]
    ]
    raise ValueError("; ".join(problem))


def pack(spec: Spec, flat: list[Any]) -> bytes:
    """Return the values as raw bytes. Raises struct.error, OverflowError or ValueError without saying where."""
    datatype = spec.datatype
    if not _TYPES[datatype].issuperset(map(type, flat)):
        flat = [_converted(spec, value) for value in flat]
    if datatype == "BYTES":
        encoded = (item.encode() if type(item) is str else item for item in flat)
        return b"".join(len(item).to_bytes(LENGTH_PREFIX_BYTES, "little") + item for item in encoded)
    packed = struct.pack(f"<{len(flat)}{_CODES[datatype]}", *flat)
    return _halved(packed) if datatype == "BF16" else packed


def _converted(spec: Spec, value: Any) -> Any:
    """Return a value that is not written as a plain number or string. Raises ValueError."""
    datatype = spec.datatype
    if type(value) in _TYPES[datatype]:
        return value
    if datatype == "BYTES" and type(value) is dict and set(value) == {_B64}:
        try:
            return base64.b64decode(value[_B64], validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise ValueError("its b64 is not base64") from None
    if datatype in _FLOATS:
        number = math.nan if value is None else _NO_NUMBER.get(value) if type(value) is str else None
        if number is not None:
            if number != number and not spec.nan_allowed:
                raise ValueError(f"{_kind(value)}, and input '{spec.name}' allows no NaN")
            return number
    raise ValueError(f"{_kind(value)} where {datatype} is needed")


def faults(spec: Spec, flat: list[Any], size: int) -> list[tuple[int, str]]:
    """Return (row, what is wrong with its first wrong value)."""
    found: list[tuple[int, str]] = []
    for start in range(0, len(flat), size):
        for offset, value in enumerate(flat[start : start + size]):
            try:
                pack(spec, [value])
            except ValueError as error:
                problem = str(error)
            except (struct.error, OverflowError):
                problem = f"{value!r} is not within {spec.datatype}"
            else:
                continue
            found.append((start // size, f"element {offset}: {problem}" if size > 1 else problem))
            break
        if len(found) == MAX_VIOLATIONS:
            break
    return found


def _halved(packed: bytes) -> bytes:
    """Return BF16 from FP32, rounded to nearest even. Raises OverflowError when a finite value becomes infinite."""
    words = np.frombuffer(packed, "<u4")
    values = words.view(np.float32)
    rounded = ((words + 0x7FFF + ((words >> 16) & 1)) >> 16).astype("<u2")
    rounded = np.where(np.isnan(values), np.uint16(0x7FC0), rounded).astype("<u2")
    if (np.isfinite(values) & ((rounded & 0x7F80) == 0x7F80)).any():
        raise OverflowError("too large for BF16")
    return rounded.tobytes()


def _elements(content: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(content):
        start = at + LENGTH_PREFIX_BYTES
        at = start + int.from_bytes(content[at:start], "little")
        found.append(content[start:at])
    return found


def _text(item: bytes) -> Any:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return {_B64: base64.b64encode(item).decode()}


def _number(item: Any) -> Any:
    value = float(item)
    if math.isfinite(value):
        return item
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _nested(flat: list[Any], shape: Sequence[int]) -> Any:
    for depth in range(len(shape) - 1, 0, -1):
        size = shape[depth]
        flat = [flat[at * size : (at + 1) * size] for at in range(math.prod(shape[:depth]))]
    return flat


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the string {value[:32]!r}"
    if isinstance(value, (int, float)):
        return f"the number {value!r}"
    return "a list" if isinstance(value, list) else "an object"


def _size(size: int) -> str:
    return "values" if size == -1 else f"{size} values"


def _shown(shape: Sequence[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"
