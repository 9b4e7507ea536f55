"""The `data` of a tensor: values in row-major order, flat or nested as its shape says."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from headrace_servicekit.errors import FieldViolation

from headrace_router.data.protocols.oip.contents import count_fault
from headrace_router.data.protocols.oip.parameters import refused
from headrace_router.data.protocols.values import faults, pack
from headrace_router.data.tables.contract import Spec, invalid, shown


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
