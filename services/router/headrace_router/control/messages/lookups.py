"""Lookup settings, fallbacks, hedging and shadowing between messages and the control plane's own types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from headrace.router.v1 import control_pb2, route_pb2
from headrace_servicekit.errors import FieldViolation

from headrace_router.control.decisions.fallback_steps import (
    Backup,
    Constant,
    EntityTable,
    FallbackStep,
    Precomputed,
    Source,
    Stale,
)
from headrace_router.control.decisions.lookups import Hedging, Key, Lookup, Mode, Shadowing
from headrace_router.control.decisions.names import Serves
from headrace_router.control.decisions.resolve import ResolvedBackup
from headrace_router.control.decisions.routes import DEFAULT_POOL
from headrace_router.control.decisions.states import Table
from headrace_router.control.decisions.version_fit import Contract, Output, given_violations

# Beyond every limit, and not beyond what a timedelta holds.
_TOO_LONG_S = 10**9
_SERVES = {"version": Serves.VERSION, "follow_production": Serves.PRODUCTION, "follow_alias": Serves.ALIAS}


def lookup_of(proto: route_pb2.Route, wrong: list[FieldViolation]) -> Lookup | None:
    """Return a route's lookup settings, None when they are not given. What cannot be read is added to `wrong`."""
    if not proto.HasField("lookup"):
        return None
    given = proto.lookup
    modes, keys = frozenset(map(int, Mode)), frozenset(map(int, Key))
    if given.mode not in modes:
        wrong.append(FieldViolation("route.lookup.mode", f"{given.mode} is not a mode"))
    if given.key not in keys:
        wrong.append(FieldViolation("route.lookup.key", f"{given.key} is not a key"))
    return Lookup(
        Mode(given.mode) if given.mode in modes else Mode.DEFAULT,
        Key(given.key) if given.key in keys else Key.DEFAULT,
        _duration(given, "ttl"),
        _duration(given, "stale_while_revalidate"),
        _duration(given, "stale_on_error"),
        _duration(given, "max_precomputed_age"),
        given.cache_large_inputs,
    )


def hedging_of(proto: route_pb2.Route) -> Hedging | None:
    """Return a route's hedging, None when it is not given."""
    return Hedging(_duration(proto.hedging, "delay")) if proto.HasField("hedging") else None


def shadowing_of(proto: route_pb2.Route) -> Shadowing | None:
    """Return a route's shadowing, None when it is not given."""
    given = proto.shadowing
    return Shadowing(given.variant, given.share, given.keeps_answers) if proto.HasField("shadowing") else None


def fallback_of(proto: route_pb2.Route, wrong: list[FieldViolation]) -> Iterable[FallbackStep]:
    """Yield a route's fallbacks, without those that cannot be read: they are added to `wrong`."""
    for position, step in enumerate(proto.fallback):
        source = _source_of(step, f"route.fallback[{position}]", wrong)
        yield FallbackStep(step.name, source, _duration(step, "min_time_left"))


def lookup_to_proto(lookup: Lookup) -> route_pb2.Lookup:
    """Return lookup settings as they were declared."""
    return route_pb2.Lookup(
        mode=route_pb2.Lookup.Mode.Name(lookup.mode),
        key=route_pb2.Lookup.Key.Name(lookup.key),
        ttl=_to_proto(lookup.ttl),
        stale_while_revalidate=_to_proto(lookup.stale_while_revalidate),
        stale_on_error=_to_proto(lookup.stale_on_error),
        max_precomputed_age=_to_proto(lookup.max_precomputed_age),
        cache_large_inputs=lookup.cache_large_inputs,
    )


def hedging_to_proto(hedging: Hedging) -> route_pb2.Hedging:
    """Return hedging as it was declared."""
    return route_pb2.Hedging(delay=_to_proto(hedging.delay))


def shadowing_to_proto(shadowing: Shadowing) -> route_pb2.Shadowing:
    """Return shadowing as it was declared."""
    return route_pb2.Shadowing(variant=shadowing.variant, share=shadowing.share, keeps_answers=shadowing.keeps)


def step_to_proto(step: FallbackStep, serving: Mapping[str, str]) -> route_pb2.FallbackStep:
    """Return a fallback as it was declared. serving: version by step, as far as they are backups in force."""
    proto = route_pb2.FallbackStep(name=step.name, min_time_left=_to_proto(step.min_time_left))
    if isinstance(step.source, Backup):
        backup = step.source
        proto.backup.pool, proto.backup.serving_version = backup.pool, serving.get(step.name, "")
        match backup.serves:
            case Serves.VERSION:
                proto.backup.version = backup.target
            case Serves.PRODUCTION:
                proto.backup.follow_production = True
            case Serves.ALIAS:
                proto.backup.follow_alias = backup.target
            case None:
                pass
    else:
        _set_source(proto, step.source)
    return proto


def resolved_step_to_proto(step: FallbackStep, backup: ResolvedBackup | None) -> control_pb2.ResolvedFallbackStep:
    """Return a fallback as data planes get it. backup: what it names when it is one."""
    proto = control_pb2.ResolvedFallbackStep(name=step.name, min_time_left=_to_proto(step.min_time_left))
    if backup is not None:
        proto.backup.digest, proto.backup.pool = backup.digest, backup.pool
    else:
        _set_source(proto, step.source)
    return proto


def contract_of(resolved: bytes) -> Contract:
    """Return what a replacement of a version shares with it. resolved: encoded headrace.router.v1.ResolvedVersion."""
    version = control_pb2.ResolvedVersion.FromString(resolved)
    return Contract(
        version.signature_hash,
        tuple(Output(one.name, one.datatype, tuple(one.shape), one.nan_allowed) for one in version.contract.outputs),
    )


def unfit(table: Table, versions: Mapping[str, bytes]) -> dict[str, str]:
    """Return the steps of a table that give values which its versions cannot have given, by name, and why.

    They fitted what was served when they were declared; what variants follow may have moved on since.
    """
    given = [step for step in table.fallback if isinstance(step.source, Constant | EntityTable)]
    if not given:
        return {}
    served = {one.version: contract_of(versions[one.digest]) for one in table.variants}
    wrong = {step.name: given_violations(step, served) for step in given}
    return {name: f"{found[0][0]}: {found[0][1]}" for name, found in wrong.items() if found}


def _source_of(step: route_pb2.FallbackStep, field: str, wrong: list[FieldViolation]) -> Source:
    match step.WhichOneof("source"):
        case "backup":
            return _backup_of(step.backup, f"{field}.backup", wrong)
        case "stale":
            return Stale(_timedelta(step.stale))
        case "constant":
            return Constant(step.constant.SerializeToString(deterministic=True))
        case "entity_table":
            table = step.entity_table
            return EntityTable(table.SerializeToString(deterministic=True), len(table.rows))
        case "precomputed":
            if not step.precomputed:
                wrong.append(FieldViolation(f"{field}.precomputed", "can only be true"))
        case _:
            needs = "needs one of backup, precomputed, stale, constant and entity_table"
            wrong.append(FieldViolation(field, needs))
    return Precomputed()


def _backup_of(proto: route_pb2.FallbackStep.Backup, field: str, wrong: list[FieldViolation]) -> Backup:
    kind = proto.WhichOneof("serves")
    if kind == "follow_production" and not proto.follow_production:
        wrong.append(FieldViolation(f"{field}.follow_production", "can only be true"))
    target = proto.version if kind == "version" else proto.follow_alias if kind == "follow_alias" else ""
    return Backup(_SERVES.get(kind or ""), target, proto.pool or DEFAULT_POOL)


def _set_source(proto: route_pb2.FallbackStep | control_pb2.ResolvedFallbackStep, source: Source) -> None:
    match source:
        case Precomputed():
            proto.precomputed = True
        case Stale(max_age):
            proto.stale.FromTimedelta(max_age)
        case Constant(row):
            proto.constant.MergeFromString(row)
            proto.constant.SetInParent()  # also a row without outputs is one
        case EntityTable(table, _):
            proto.entity_table.MergeFromString(table)
            proto.entity_table.SetInParent()
        case Backup():
            raise AssertionError("a backup is sent as what it names")


def _duration(message: Any, name: str) -> timedelta | None:
    return _timedelta(getattr(message, name)) if message.HasField(name) else None


def _timedelta(duration: Duration) -> timedelta:
    """Return a duration; one that no limit allows stays beyond all of them."""
    seconds = max(-_TOO_LONG_S, min(duration.seconds, _TOO_LONG_S))
    return timedelta(seconds=seconds, microseconds=duration.nanos // 1000)


def _to_proto(time: timedelta | None) -> Duration | None:
    if time is None:
        return None
    duration = Duration()
    duration.FromTimedelta(time)
    return duration
