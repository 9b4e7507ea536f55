"""Values that a route itself gives as an answer, encoded as the outputs of a version. Pure: messages in, bytes out."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from headrace.router.v1 import predict_pb2, route_pb2

from headrace_router.data.contract import Contract, Spec
from headrace_router.data.layouts import LENGTH_PREFIX_BYTES

_FLOATS = {"FP16": "e", "FP32": "f", "FP64": "d"}
_INTEGERS = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
    "INT64": "q",
}  # fmt: skip
# What one step keeps encoded; more is encoded again when it is needed.
MAX_KEPT_BYTES = 4 * 1024 * 1024


class ConstantRow:
    """One row of an answer. It is encoded once per version, number of rows and choice of outputs."""

    __slots__ = ("_kept", "_kept_bytes", "_values")

    def __init__(self, row: route_pb2.FallbackStep.Row) -> None:
        self._values: Mapping[str, route_pb2.FallbackStep.Values] = row.outputs
        self._kept: dict[tuple[str, int, tuple[int, ...]], bytes] = {}
        self._kept_bytes = 0

    def outputs(self, digest: str, contract: Contract, rows: int, wanted: tuple[int, ...]) -> bytes:
        """Return the row as often as there are rows, as the encoded fields 5 and 6 of PredictResponse.

        digest: of the version whose contract it is. wanted: positions of outputs; empty means all. Raises ValueError
        for a row that is none of this contract.
        """
        key = (digest, rows, wanted)
        found = self._kept.get(key)
        if found is None:
            found = encoded(self._values, contract, rows, wanted)
            if self._kept_bytes + len(found) > MAX_KEPT_BYTES:
                self._kept.clear()
                self._kept_bytes = 0
            if len(found) <= MAX_KEPT_BYTES:
                self._kept[key] = found
                self._kept_bytes += len(found)
        return found


def encoded(
    values: Mapping[str, route_pb2.FallbackStep.Values], contract: Contract, rows: int, wanted: tuple[int, ...]
) -> bytes:
    """Return values by output as the encoded fields 5 and 6 of PredictResponse. Raises ValueError."""
    message = predict_pb2.PredictResponse()
    for position in wanted or range(len(contract.outputs)):
        spec = contract.outputs[position]
        if spec.name not in values:
            raise ValueError(f"output {spec.name!r} is missing")
        one = values[spec.name]
        shape = shape_of(spec, len(one.strings if spec.datatype == "BYTES" else one.numbers))
        message.outputs.add(name=spec.name, datatype=spec.datatype, shape=[rows, *shape])
        message.raw_output_contents.append(packed(spec, one) * rows)
    return message.SerializeToString()


def shape_of(spec: Spec, count: int) -> tuple[int, ...]:
    """Return the shape of one row with so many elements. Raises ValueError when there is none, or more than one."""
    varying = spec.shape.count(-1)
    fixed = math.prod(size for size in spec.shape if size != -1)
    if varying > 1:
        raise ValueError(f"output {spec.name!r} has {varying} dimensions that vary: the shape of a row cannot be told")
    if varying and fixed and count % fixed == 0:
        return tuple(count // fixed if size == -1 else size for size in spec.shape)
    if varying or count != fixed:
        raise ValueError(f"output {spec.name!r} has {count} values, a row of it {'a multiple of ' * varying}{fixed}")
    return spec.shape


def packed(spec: Spec, values: route_pb2.FallbackStep.Values) -> bytes:
    """Return one row of an output as raw bytes. Raises ValueError for what its datatype cannot hold."""
    if spec.datatype == "BYTES":
        texts = [text.encode() for text in values.strings]
        return b"".join(len(text).to_bytes(LENGTH_PREFIX_BYTES, "little") + text for text in texts)
    numbers = values.numbers
    try:
        if spec.datatype == "BF16":
            return b"".join(map(_bf16, numbers))
        if spec.datatype in _FLOATS:
            return struct.pack(f"<{len(numbers)}{_FLOATS[spec.datatype]}", *numbers)
        whole = [int(number) for number in numbers]
        if whole != list(numbers):
            raise ValueError("not whole numbers")
        if spec.datatype == "BOOL" and not {0, 1}.issuperset(whole):
            raise ValueError("neither 0 nor 1")
        return struct.pack(f"<{len(whole)}{_INTEGERS[spec.datatype]}", *whole)
    except (struct.error, OverflowError, ValueError) as error:
        raise ValueError(f"output {spec.name!r} has values that are not {spec.datatype}: {error}") from None


def _bf16(number: float) -> bytes:
    """Return a number as BF16: the upper half of its FP32, rounded to nearest even. Raises OverflowError."""
    if number != number:
        return b"\xc0\x7f"
    word = int.from_bytes(struct.pack("<f", number), "little")
    rounded = (word + 0x7FFF + ((word >> 16) & 1)) >> 16
    if math.isfinite(number) and rounded & 0x7F80 == 0x7F80:
        raise OverflowError(f"{number!r} is too large")
    return rounded.to_bytes(2, "little")
