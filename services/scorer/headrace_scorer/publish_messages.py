"""How answers are published, between messages and values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from headrace.scorer.v1 import scorer_pb2
from headrace_servicekit.errors import FieldViolation

from headrace_scorer.decisions.publish_specs import (
    DEFAULT_KEEP_FOR,
    DEFAULT_PARITY_ROWS,
    MAX_PARITY_ROWS,
    Disappeared,
    PublishSpec,
    Tolerance,
)

_LONGEST = timedelta(days=3650)
_MAX_COLUMN_CHARS = 255
_DISAPPEARED = {
    scorer_pb2.Publishing.DISAPPEARED_UNSPECIFIED: Disappeared.ABSENT,
    scorer_pb2.Publishing.DISAPPEARED_ABSENT: Disappeared.ABSENT,
    scorer_pb2.Publishing.DISAPPEARED_KEPT: Disappeared.KEPT,
}
_TOLD = {
    Disappeared.ABSENT: scorer_pb2.Publishing.DISAPPEARED_ABSENT,
    Disappeared.KEPT: scorer_pb2.Publishing.DISAPPEARED_KEPT,
}


def publish_spec(proto: scorer_pb2.Publishing, field: str, wrong: list[FieldViolation]) -> PublishSpec:
    """Return how answers are published; what cannot be is added to `wrong`."""
    wrong += _violations(proto, field)
    return PublishSpec(
        entity=proto.entity_column,
        ttl=time_of(proto, "ttl"),
        disappeared=_DISAPPEARED.get(proto.disappeared, Disappeared.ABSENT),
        keep_for=time_of(proto, "keep_for") or DEFAULT_KEEP_FOR,
        parity_rows=proto.parity_rows if proto.HasField("parity_rows") else DEFAULT_PARITY_ROWS,
        tolerance=Tolerance(
            proto.absolute_tolerance if proto.HasField("absolute_tolerance") else Tolerance().absolute,
            proto.relative_tolerance if proto.HasField("relative_tolerance") else Tolerance().relative,
        ),
        drift_tolerance=proto.drift_tolerance if proto.HasField("drift_tolerance") else None,
    )


def to_publishing(spec: PublishSpec) -> scorer_pb2.Publishing:
    """Return how answers are published."""
    message = scorer_pb2.Publishing(
        entity_column=spec.entity,
        disappeared=_TOLD[spec.disappeared],
        parity_rows=spec.parity_rows,
        absolute_tolerance=spec.tolerance.absolute,
        relative_tolerance=spec.tolerance.relative,
        drift_tolerance=spec.drift_tolerance,
    )
    message.keep_for.FromTimedelta(spec.keep_for)
    if spec.ttl is not None:
        message.ttl.FromTimedelta(spec.ttl)
    return message


def _violations(proto: scorer_pb2.Publishing, field: str) -> Iterable[FieldViolation]:
    if not 0 < len(proto.entity_column) <= _MAX_COLUMN_CHARS or "\0" in proto.entity_column:
        yield FieldViolation(
            f"{field}.entity_column", f"needs the name of a column, at most {_MAX_COLUMN_CHARS} characters"
        )
    if proto.disappeared not in _DISAPPEARED:
        yield FieldViolation(f"{field}.disappeared", f"{proto.disappeared} is not one of its values")
    for name in ("ttl", "keep_for"):
        time = time_of(proto, name)
        if time is not None and not timedelta(0) < time <= _LONGEST:
            yield FieldViolation(f"{field}.{name}", f"must be more than 0 s and at most {_LONGEST.days} days")
    if not 0 <= proto.parity_rows <= MAX_PARITY_ROWS:
        yield FieldViolation(f"{field}.parity_rows", f"{proto.parity_rows} is not between 0 and {MAX_PARITY_ROWS:,}")
    for name, most in (("absolute_tolerance", 1e300), ("relative_tolerance", 1.0), ("drift_tolerance", 100.0)):
        value = getattr(proto, name)
        if not 0 <= value <= most:
            yield FieldViolation(f"{field}.{name}", f"{value:g} is not between 0 and {most:g}")


def time_of(proto: Any, name: str) -> timedelta | None:
    """Return a duration; one that no limit allows stays beyond all of them."""
    if not proto.HasField(name):
        return None
    duration = getattr(proto, name)
    seconds = max(-(10**9), min(duration.seconds, 10**9))
    return timedelta(seconds=seconds, microseconds=duration.nanos // 1000)
