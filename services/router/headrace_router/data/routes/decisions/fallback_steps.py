"""The fallbacks of a table, and its hedging, as the fallback chain reads them. Pure: messages in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headrace.router.v1 import control_pb2, route_pb2

from headrace_router.data.routes.decisions.constant import ConstantRow
from headrace_router.data.served import ServedVersion


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
