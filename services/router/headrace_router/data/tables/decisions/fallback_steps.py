"""The fallbacks of a table, and its hedging, as the fallback chain reads them. Pure: messages in, values out."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headrace.router.v1 import control_pb2, predict_pb2, route_pb2

from headrace_router.data.tables.contract import LENGTH_PREFIX_BYTES, Contract, Spec
from headrace_router.data.tables.served import ServedVersion


class Backup(NamedTuple):
    """Another version, or another pool. served: None means the version of the request's variant.

    min_time_left_s, here and below: less time left than this passes the step over; None leaves it to measurements.
    """

    name: str
    min_time_left_s: float | None
    served: ServedVersion | None
    pool: str


class Precomputed(NamedTuple):
    """The precomputed answer of the request's entity, of any age."""

    name: str
    min_time_left_s: float | None


class Stale(NamedTuple):
    """The cached answer, at most this old."""

    name: str
    min_time_left_s: float | None
    max_age_s: float


class Given(NamedTuple):
    """Values that the route gives: the same for every request, or by entity.

    constant: None for a table. rows: by entity; empty for a constant.
    """

    name: str
    min_time_left_s: float | None
    constant: ConstantRow | None
    rows: Mapping[str, ConstantRow]

    def row(self, entity_id: str) -> ConstantRow | None:
        """Return the row for an entity, or None."""
        return self.constant if self.constant is not None else self.rows.get(entity_id)


FallbackStep = Backup | Precomputed | Stale | Given
FallbackSteps = tuple[FallbackStep, ...]


class Hedge(NamedTuple):
    """When a second batcher is asked as well. delay_s: None means the 95th percentile of what was measured."""

    delay_s: float | None


def steps_of(
    protos: Sequence[control_pb2.ResolvedFallbackStep],
    versions: Mapping[str, ServedVersion],
    served: Sequence[ServedVersion],
) -> FallbackSteps:
    """Return the fallbacks of a table. Raises ValueError for one that cannot be read.

    versions: of the table, by digest. served: those of its variants, whose outputs a constant must have.
    """
    return tuple([_step_of(proto, versions, served) for proto in protos])


def same_version(steps: FallbackSteps) -> FallbackSteps:
    """Return the fallbacks that answer for the very version of the request: what a caller who pins one can use."""
    return tuple([step for step in steps if not isinstance(step, Given) and getattr(step, "served", None) is None])


def hedge_of(proto: control_pb2.RouteTable) -> Hedge | None:
    """Return how a table hedges, or None."""
    if not proto.HasField("hedging"):
        return None
    delay = proto.hedging.delay
    return Hedge(delay.ToMicroseconds() / 1e6 if proto.hedging.HasField("delay") else None)


def _step_of(
    proto: control_pb2.ResolvedFallbackStep, versions: Mapping[str, ServedVersion], served: Sequence[ServedVersion]
) -> FallbackStep:
    name, kind = proto.name, proto.WhichOneof("source")
    if not name:
        raise ValueError("a fallback has no name")
    least = proto.min_time_left.ToMicroseconds() / 1e6 if proto.HasField("min_time_left") else None
    if kind == "backup":
        digest = proto.backup.digest
        if digest and digest not in versions:
            raise ValueError(f"fallback {name!r} names version {digest!r}, which is not in the table")
        return Backup(name, least, versions[digest] if digest else None, proto.backup.pool or "default")
    if kind == "precomputed":
        return Precomputed(name, least)
    if kind == "stale":
        return Stale(name, least, proto.stale.ToMicroseconds() / 1e6)
    if kind == "constant":
        return Given(name, least, _constant(name, proto.constant, served), {})
    if kind == "entity_table":
        rows = {entity: ConstantRow(row) for entity, row in proto.entity_table.rows.items()}
        return Given(name, least, None, rows)
    raise ValueError(f"fallback {name!r} has no source that is known here")


def _constant(name: str, row: route_pb2.FallbackStep.Row, served: Sequence[ServedVersion]) -> ConstantRow:
    made = ConstantRow(row)
    for one in served:
        try:
            made.outputs(one.digest, one.contract, 1, ())
        except ValueError as error:
            raise ValueError(f"fallback {name!r} does not fit version {one.version!r}: {error}") from None
    return made


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
        for a row that is not one of this contract.
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
        raise ValueError(f"output {spec.name!r} has {varying} variable dimensions: the shape of a row is ambiguous")
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
