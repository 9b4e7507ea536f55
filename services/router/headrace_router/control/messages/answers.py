"""From the control plane's own types to messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from headrace.router.v1 import precomputed_pb2, route_pb2

from headrace_router.control.decisions.assignment import Assignment
from headrace_router.control.decisions.names import Serves
from headrace_router.control.decisions.preview import Preview
from headrace_router.control.decisions.readiness import Readiness
from headrace_router.control.decisions.routes import Route
from headrace_router.control.decisions.states import Kind, Outcome, Table, Writer
from headrace_router.control.decisions.status import Status
from headrace_router.control.decisions.stored_answers import UNKNOWN_ORIGIN, Origin
from headrace_router.control.messages import lookups
from headrace_router.control.storage.store import ChangeRecord
from headrace_router.rules import Condition, Operator, Rule

_Event = route_pb2.RouteEvent
_KINDS = {Kind.WRITE: _Event.KIND_DECLARED, Kind.REGISTRY: _Event.KIND_FOLLOWED}
_OUTCOMES = {
    None: _Event.OUTCOME_PENDING,
    Outcome.ACTIVE: _Event.OUTCOME_ACTIVE,
    Outcome.NOT_READY: _Event.OUTCOME_NOT_READY,
    Outcome.SUPERSEDED: _Event.OUTCOME_SUPERSEDED,
}


class Serving(NamedTuple):
    """Versions that serve now: by variant, and by step that is a backup."""

    variants: Mapping[str, str] = MappingProxyType({})
    backups: Mapping[str, str] = MappingProxyType({})


def route_to_proto(route: Route, serving: Serving) -> route_pb2.Route:
    """Return a declared route. serving: what its names name, as far as they serve now."""
    proto = route_pb2.Route(
        name=f"routes/{route.model}",
        unit=route_pb2.Route.Unit.Name(route.unit),
        etag=route.etag,
        updated_by=route.updated_by,
        managed_by=route.managed_by,
        layer=route.layer,
        rules=[rule_to_proto(rule) for rule in route.rules],
        lookup=lookups.lookup_to_proto(route.lookup) if route.lookup is not None else None,
        fallback=[lookups.step_to_proto(step, serving.backups) for step in route.fallback],
        hedging=lookups.hedging_to_proto(route.hedging) if route.hedging is not None else None,
        shadowing=lookups.shadowing_to_proto(route.shadowing) if route.shadowing is not None else None,
    )
    if route.updated_at is not None:
        proto.update_time.FromDatetime(route.updated_at)
    if route.max_wait_us is not None:
        proto.max_wait.FromMicroseconds(route.max_wait_us)
    for variant in route.variants:
        version = serving.variants.get(variant.name, "")
        added = proto.variants.add(name=variant.name, weight=variant.weight, pool=variant.pool, serving_version=version)
        match variant.serves:
            case Serves.VERSION:
                added.version = variant.target
            case Serves.PRODUCTION:
                added.follow_production = True
            case Serves.ALIAS:
                added.follow_alias = variant.target
    return proto


def rule_to_proto(rule: Rule) -> route_pb2.Rule:
    """Return a rule as it was declared."""
    return route_pb2.Rule(
        name=rule.name, conditions=[condition_to_proto(one) for one in rule.conditions], variant=rule.variant
    )


def serving_by(table: Table | None) -> Serving:
    """Return the versions that a table serves; nothing without one."""
    if table is None:
        return Serving()
    variants = {variant.name: variant.version for variant in table.variants}
    return Serving(variants, {backup.step: backup.version for backup in table.backups})


def status_to_proto(status: Status) -> route_pb2.RouteStatus:
    """Return what is in force for a route, and how far what is wanted is."""
    proto = route_pb2.RouteStatus(
        state=route_pb2.RouteStatus.State.Name(status.condition),
        generation=status.generation,
        registry_epoch=status.epoch,
        reason=status.reason,
        unacknowledged_data_planes=status.unacknowledged,
        versions=[readiness_to_proto(*one) for one in status.versions],
        wanted_registry_epoch=status.wanted_epoch,
        data_planes=[
            route_pb2.DataPlaneStatus(
                name=plane.id,
                acknowledged=plane.acknowledged,
                connected=plane.connected,
                seen_time=timestamp(plane.seen_at),
            )
            for plane in status.planes
        ],
    )
    if status.active_at is not None:
        proto.active_time.FromDatetime(status.active_at)
    return proto


def readiness_to_proto(state: Readiness, in_force: bool) -> route_pb2.VersionReadiness:
    """Return how far a pool is with a version."""
    return route_pb2.VersionReadiness(
        version=state.needed.name,
        pool=state.needed.pool,
        batchers=state.batchers,
        ready_batchers=state.ready,
        loading_batchers=state.loading,
        failed_batchers=state.failed,
        failure=state.failure,
        in_force=in_force,
    )


def preview_to_proto(seen: Preview, route: Route) -> route_pb2.DryRunRouteResponse:
    """Return what declaring a route would do."""
    kind = route_pb2.DryRunRouteResponse
    return kind(
        route=route_to_proto(route, serving_by(seen.table)),
        variants=[
            kind.VariantShift(
                variant=one.variant,
                share_before=one.share_before,
                share_after=one.share_after,
                version_before=one.version_before,
                version_after=one.version_after,
            )
            for one in seen.shifts
        ],
        moved_share=seen.moved_share,
        moved_version_share=seen.moved_version_share,
        versions=[readiness_to_proto(*one) for one in seen.versions],
        waits_for=seen.waits_for,
        managed_by=seen.displaced,
        unpromoted_excess=seen.excess,
        examples=[kind.ExampleShift(before=_assignment(was), after=_assignment(now)) for was, now in seen.subjects],
    )


def event_to_proto(record: ChangeRecord) -> route_pb2.RouteEvent:
    """Return a line of a route's history."""
    change, writer = record.change, record.change.writer or Writer("")
    event = route_pb2.RouteEvent(
        change=str(change.id),
        kind=_KINDS[change.kind],
        create_time=timestamp(change.begun_at),
        client=writer.client,
        reason=writer.reason,
        outcome=_OUTCOMES[record.outcome],
        outcome_reason=record.outcome_reason,
        generation=record.generation or 0,
        registry_epoch=change.epoch,
        moved_share=change.moved_share,
        route=route_to_proto(change.route, serving_by(change.table)),
        manager=writer.manager,
        displaced_manager=change.displaced,
    )
    if record.ended_at is not None:
        event.end_time.FromDatetime(record.ended_at)
    return event


def timestamp(when: datetime) -> Timestamp:
    """Return a time as a message."""
    stamp = Timestamp()
    stamp.FromDatetime(when)
    return stamp


def condition_to_proto(condition: Condition) -> route_pb2.Condition:
    proto = route_pb2.Condition(attribute=condition.attribute)
    match condition.operator:
        case Operator.EQUALS:
            (proto.equals,) = condition.values
        case Operator.ANY_OF:
            proto.any_of.values.extend(condition.values)
        case Operator.NONE_OF:
            proto.none_of.values.extend(condition.values)
        case Operator.PREFIX:
            (proto.prefix,) = condition.values
        case Operator.PRESENT | Operator.ABSENT:
            proto.present = condition.operator is Operator.PRESENT
    return proto


def _assignment(found: Assignment) -> route_pb2.DryRunRouteResponse.Assignment:
    return route_pb2.DryRunRouteResponse.Assignment(variant=found.variant, version=found.version, rule=found.rule)


def origin_to_proto(origin: Origin, digest: str) -> precomputed_pb2.PublishOrigin | None:
    """Return what computed answers, None when that is unknown. digest: of their version."""
    if origin == UNKNOWN_ORIGIN:
        return None
    return precomputed_pb2.PublishOrigin(run=origin.run, manifest_digest=origin.manifest, version_digest=digest)
