"""Typed contents of `ModelInferRequest` as raw bytes: row-major, little-endian, BYTES behind 4-byte lengths."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from headrace_servicekit.errors import FieldViolation

from headrace_router.data.protocols.oip.parameters import refused
from headrace_router.data.protocols.values import faults, pack
from headrace_router.data.tables.contract import LENGTH_PREFIX_BYTES, Spec, fits, invalid, shown

# Field of InferTensorContents and struct's code of each datatype. FP16 and BF16 have no field: they are raw only.
FIELDS = {
    "BOOL": ("bool_contents", "?"), "INT8": ("int_contents", "b"), "INT16": ("int_contents", "h"),
    "INT32": ("int_contents", "i"), "INT64": ("int64_contents", "q"), "UINT8": ("uint_contents", "B"),
    "UINT16": ("uint_contents", "H"), "UINT32": ("uint_contents", "I"), "UINT64": ("uint64_contents", "Q"),
    "FP32": ("fp32_contents", "f"), "FP64": ("fp64_contents", "d"), "BYTES": ("bytes_contents", ""),
}  # fmt: skip


# As many FP32 take 50 ms, in which the event loop serves no other request; raw bytes take none.
MAX_VALUES = 1_048_576


def raw(index: int, tensor: Any, spec: Spec | None) -> bytes:
    """Return the values of an `InferInputTensor` as raw bytes. Raises InvalidArgument naming its contents.

    spec: of the contract; what does not fit it is not looked at, the contract check says so.
    """
    field = f"inputs[{index}].contents"
    given = [descriptor.name for descriptor, _ in tensor.contents.ListFields()] if tensor.HasField("contents") else []
    known = FIELDS.get(tensor.datatype)
    if known is None:
        if tensor.datatype in ("FP16", "BF16"):
            raise refused(field, f"{tensor.datatype} has no typed contents: use raw_input_contents")
        return b""  # no datatype
    wanted, code = known
    if given not in ([], [wanted]):
        raise refused(field, f"{tensor.datatype} is given in {wanted}, not in {', '.join(given)}")
    if spec is None or spec.datatype != tensor.datatype or not fits(spec, tensor.shape):
        return b""
    values = getattr(tensor.contents, wanted)
    fault = count_fault(tensor.shape, len(values))
    if fault:
        raise refused(field, fault)
    if len(values) > MAX_VALUES:
        raise refused(field, f"{len(values)} values; above {MAX_VALUES} use raw_input_contents")
    if not code:
        return b"".join([len(value).to_bytes(LENGTH_PREFIX_BYTES, "little") + value for value in values])
    try:
        return struct.pack(f"<{len(values)}{code}", *values)
    except struct.error:
        at = next(at for at, value in enumerate(values) if not _fits(code, value))
        raise refused(f"{field}.{wanted}[{at}]", f"{values[at]} is not within {tensor.datatype}") from None


def count_fault(shape: Sequence[int], count: int) -> str:
    """Say what is wrong with the number of values for a shape, or nothing. The contract forbids negative sizes."""
    needed = math.prod(shape)
    if count == needed or any(size < 0 for size in shape):
        return ""
    return f"{count} values where shape {shown(shape)} needs {needed}"


def _fits(code: str, value: Any) -> bool:
    try:
        struct.pack(f"<{code}", value)
    except struct.error:
        return False
    return True


def flat_values(spec: Spec, shape: Sequence[int], data: Any, field: str) -> bytes:
    """Return JSON values as raw bytes. Raises InvalidArgument naming the values at fault (`inputs[0].data[3]`)."""
    if not isinstance(data, list):
        raise refused(field, "a list of values is needed")
    flat: list[Any] = data
    if data and isinstance(data[0], list):
        flat = []
        _flatten(data, shape, 0, flat, field)
    fault = count_fault(shape, len(flat))
    if fault:
        raise refused(field, fault)
    try:
        return pack(spec, flat)
    except (struct.error, OverflowError, ValueError):
        raise invalid([FieldViolation(f"{field}[{at}]", problem) for at, problem in faults(spec, flat, 1)]) from None


def _flatten(data: Any, shape: Sequence[int], depth: int, flat: list[Any], field: str) -> None:
    if depth == len(shape):
        raise refused(field, f"nested deeper than shape {shown(shape)} says")
    if not isinstance(data, list) or (len(data) != shape[depth] and shape[depth] >= 0):
        found = f"a list of {len(data)}" if isinstance(data, list) else "a value"
        said = f"shape {shown(shape)} says {shape[depth]}"
        raise refused(field, f"{found} where {said}, at depth {depth + 1}")
    if depth == len(shape) - 1:
        flat += data
        return
    for item in data:
        _flatten(item, shape, depth + 1, flat, field)
