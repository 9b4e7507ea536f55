"""Fallbacks of digits as a control plane resolves them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import duration_pb2
from headrace.router.v1 import control_pb2, route_pb2

from tests.kit.router.digits import V1, V2
from tests.kit.router.fake_control import table


def step(name: str, least_s: float | None = None, **source: Any) -> control_pb2.ResolvedFallbackStep:
    """Return a step; least_s: passed over with less time left."""
    made = control_pb2.ResolvedFallbackStep(name=name, **source)
    if least_s is not None:
        made.min_time_left.FromMicroseconds(int(least_s * 1e6))
    return made


def backup(
    name: str, version: control_pb2.ResolvedVersion | None = None, pool: str = "", least_s: float | None = None
) -> control_pb2.ResolvedFallbackStep:
    """Return a step on which a version answers, the request's own without one, of another pool."""
    made = control_pb2.ResolvedFallbackStep.ResolvedBackup(digest=version.digest if version else "", pool=pool)
    return step(name, least_s, backup=made)


def constant(name: str = "neutral", number: float = 0.5) -> control_pb2.ResolvedFallbackStep:
    """Return a step on which everybody gets one number."""
    return step(name, constant=_row(number))


def by_entity(name: str, **numbers: float) -> control_pb2.ResolvedFallbackStep:
    """Return a step on which each entity gets its number."""
    return step(
        name, entity_table=route_pb2.FallbackStep.EntityTable(rows={key: _row(one) for key, one in numbers.items()})
    )


def stale(name: str, seconds: int) -> control_pb2.ResolvedFallbackStep:
    """Return a step on which a stored answer of at most this age answers."""
    return step(name, stale=duration_pb2.Duration(seconds=seconds))


def with_steps(
    *steps: control_pb2.ResolvedFallbackStep, versions: Sequence[control_pb2.ResolvedVersion] = (V1, V2)
) -> control_pb2.RouteTable:
    """Return a table whose first version answers for everybody, with these fallbacks."""
    made = table("digits", versions)
    made.fallback.extend(steps)
    return made


def _row(number: float) -> route_pb2.FallbackStep.Row:
    return route_pb2.FallbackStep.Row(outputs={"y": route_pb2.FallbackStep.Values(numbers=[number])})
