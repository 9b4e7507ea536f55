"""Fallbacks of digits as a control plane resolves them."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.router.v1 import control_pb2, route_pb2

from tests.kit.control import table
from tests.kit.digits import V1, V2


def backup(name: str, version: control_pb2.ResolvedVersion, pool: str) -> control_pb2.ResolvedRung:
    """Return a rung on which a version of another pool answers."""
    made = control_pb2.ResolvedRung.ResolvedBackup(digest=version.digest, pool=pool)
    return control_pb2.ResolvedRung(name=name, backup=made)


def constant(name: str = "neutral", number: float = 0.5) -> control_pb2.ResolvedRung:
    """Return a rung on which everybody gets one number."""
    values = route_pb2.Rung.Values(numbers=[number])
    return control_pb2.ResolvedRung(name=name, constant=route_pb2.Rung.Row(outputs={"y": values}))


def with_rungs(
    *rungs: control_pb2.ResolvedRung, versions: Sequence[control_pb2.ResolvedVersion] = (V1, V2)
) -> control_pb2.RouteTable:
    """Return a table whose first version answers for everybody, with these fallbacks."""
    made = table("digits", versions)
    made.fallback.extend(rungs)
    return made
