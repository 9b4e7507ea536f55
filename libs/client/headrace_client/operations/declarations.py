"""Declaring a route: shares and rules as people think of them, what would happen, and the write that waits."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from headrace.router.v1 import route_pb2

from headrace_client import fallbacks
from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import Aborted
from headrace_client.fallbacks import FallbackStep
from headrace_client.lookups import Hedging, Lookup
from headrace_client.operations.routes import DEFAULT_TIMEOUT_S, Unit, Variant, Version, get_route
from headrace_client.rules import Rule, named

# A route write waits for the versions that it adds to be loaded: the server gives up after two minutes.
READY_TIMEOUT_S = 150.0


class Unchanged(enum.Enum):
    """What stands for a part of a route that stays as it is, where None is a value."""

    UNCHANGED = 0


UNCHANGED = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True)
class Example:
    """A request whose variant is asked for: what routes look at. Empty means not given."""

    user_id: str = ""
    entity_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def split(
    session: Session,
    model: str,
    variants: Sequence[Variant],
    *,
    unit: Unit | None = None,
    layer: str | None = None,
    max_wait: timedelta | None = None,
    force: bool = False,
    reason: str = "",
    request_id: str = "",
    timeout: float = READY_TIMEOUT_S,
) -> Operation[route_pb2.UpdateRouteResponse]:
    """Declare a model's variants and wait until they serve; rules, unit, layer and max_wait stay as they are unless
    given, and so does the pool of a variant. layer: routes that enter one alike split alike; a new one splits
    differently.

    A variant that only a rule names stays, without a share. Reads the route first and sends its etag, so a change made
    in between fails with Aborted instead of being lost. Raises PreconditionFailed: reason VERSION_NOT_READY when a
    version does not load (traffic then stays where it was), reason ROUTE_MANAGED when a rollout or an experiment
    manages the route. force: take it from that.
    """
    present = yield from get_route(session, model)
    route = declared(present.route, variants=variants, unit=unit, layer=layer, max_wait=max_wait)
    return (yield from _update(session, route, force, reason, request_id, timeout))


def declare(
    session: Session,
    model: str,
    *,
    variants: Sequence[Variant] | None = None,
    rules: Sequence[Rule | str] | None = None,
    etag: str | None = None,
    force: bool = False,
    reason: str = "",
    request_id: str = "",
    timeout: float = READY_TIMEOUT_S,
) -> Operation[route_pb2.UpdateRouteResponse]:
    """Do what `split` and `set_rules` do, together; None leaves a part as it is.

    etag: of the route that the caller read, empty for one that was never declared: a change made since then fails with
    Aborted.
    """
    present = yield from get_route(session, model)
    if etag is not None and etag != present.route.etag:
        raise Aborted("the route was changed since this etag was read: look at it again", reason="ETAG_MISMATCH")
    route = declared(present.route, variants=variants, rules=rules)
    return (yield from _update(session, route, force, reason, request_id, timeout))


def set_rules(
    session: Session,
    model: str,
    rules: Sequence[Rule | str],
    *,
    force: bool = False,
    reason: str = "",
    request_id: str = "",
    timeout: float = READY_TIMEOUT_S,
) -> Operation[route_pb2.UpdateRouteResponse]:
    """Replace a model's rules by attribute and wait until they are in force; shares stay as they are.

    rules: in the order in which they are tried, as Rule or as text (`country=DE -> v3`). A rule may name a version that
    no variant serves: a variant without a share is added for it, and goes with its last rule. Fails as `split` does.
    """
    present = yield from get_route(session, model)
    route = declared(present.route, rules=rules)
    return (yield from _update(session, route, force, reason, request_id, timeout))


def set_lookup(
    session: Session,
    model: str,
    lookup: Lookup,
    *,
    reset: bool = False,
    force: bool = False,
    reason: str = "",
    request_id: str = "",
    timeout: float = READY_TIMEOUT_S,
) -> Operation[route_pb2.UpdateRouteResponse]:
    """Change where a model's answers are looked for, and wait until that is in force; what is None stays as it is.

    reset: what is None becomes the default instead. Fails as `split` does.
    """
    present = yield from get_route(session, model)
    route = declared(present.route, lookup=lookup, reset_lookup=reset)
    return (yield from _update(session, route, force, reason, request_id, timeout))


def set_fallback(
    session: Session,
    model: str,
    steps: Sequence[FallbackStep | str],
    *,
    force: bool = False,
    reason: str = "",
    request_id: str = "",
    timeout: float = READY_TIMEOUT_S,
) -> Operation[route_pb2.UpdateRouteResponse]:
    """Replace what answers for a model when the request's version cannot in time, and wait until that is in force.

    steps: in the order in which they are tried, as FallbackStep or as text (`backup:v1@cpu`, `constant:FILE.json`). It
    waits for the versions that they name to be loaded, and fails as `split` does.
    """
    present = yield from get_route(session, model)
    route = declared(present.route, fallback=steps)
    return (yield from _update(session, route, force, reason, request_id, timeout))


def set_hedging(
    session: Session,
    model: str,
    hedging: Hedging | None,
    *,
    force: bool = False,
    reason: str = "",
    request_id: str = "",
    timeout: float = READY_TIMEOUT_S,
) -> Operation[route_pb2.UpdateRouteResponse]:
    """Send late requests of a model to a second batcher too, or to one alone (None). Fails as `split` does."""
    present = yield from get_route(session, model)
    route = declared(present.route, hedging=hedging)
    return (yield from _update(session, route, force, reason, request_id, timeout))


def set_shadow(
    session: Session,
    model: str,
    version: str | None,
    share: float = 1.0,
    *,
    pool: str = "",
    force: bool = False,
    reason: str = "",
    request_id: str = "",
    timeout: float = READY_TIMEOUT_S,
) -> Operation[route_pb2.UpdateRouteResponse]:
    """Send copies of a share of what is computed for a model to a version, or to none (None).

    No caller gets its answers: see `shadow_report`. pool: that it runs in; empty means `default`. It waits for the
    version to be loaded, and fails as `split` does.
    """
    present = yield from get_route(session, model)
    route = with_shadow(present.route, version, share, pool)
    return (yield from _update(session, route, force, reason, request_id, timeout))


def with_shadow(present: route_pb2.Route, version: str | None, share: float, pool: str = "") -> route_pb2.Route:
    """Return the route with this shadow in the place of the one before, if any."""
    route = route_pb2.Route()
    route.CopyFrom(present)
    before = route.shadowing.variant
    route.ClearField("shadowing")
    ruled = {rule.variant for rule in route.rules}
    kept = [one for one in route.variants if one.name != before or one.weight or one.name in ruled]
    if version is not None:
        name = next((one.name for one in kept if one.version == version and not one.weight), "")
        if not name:
            taken = {one.name for one in kept}
            name = "shadow" if "shadow" not in taken else f"shadow-{version}"
            kept.append(route_pb2.Variant(name=name, version=version, pool=pool))
        route.shadowing.variant, route.shadowing.share = name, share
    variants = [route_pb2.Variant.FromString(one.SerializeToString()) for one in kept]
    del route.variants[:]
    route.variants.extend(variants)
    return route


def dry_run(
    session: Session,
    model: str,
    *,
    variants: Sequence[Variant] | None = None,
    rules: Sequence[Rule | str] | None = None,
    fallback: Sequence[FallbackStep | str] | None = None,
    unit: Unit | None = None,
    layer: str | None = None,
    max_wait: timedelta | None = None,
    examples: Sequence[Example] = (),
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[route_pb2.DryRunRouteResponse]:
    """Return what `split`, `set_rules` and `set_fallback` would do together, and change nothing; None leaves things
    as they are.

    examples: requests that are assigned before and after.
    """
    present = yield from get_route(session, model)
    request = route_pb2.DryRunRouteRequest(
        route=declared(
            present.route,
            variants=variants,
            rules=rules,
            fallback=fallback,
            unit=unit,
            layer=layer,
            max_wait=max_wait,
        ),
        examples=[
            route_pb2.DryRunRouteRequest.Example(
                user_id=one.user_id, entity_id=one.entity_id, attributes=one.attributes
            )
            for one in examples
        ],
    )
    return (yield from invoke(session, route_pb2.DryRunRouteResponse, request, timeout_s=timeout))


def declared(
    present: route_pb2.Route,
    *,
    variants: Sequence[Variant] | None = None,
    rules: Sequence[Rule | str] | None = None,
    unit: Unit | None = None,
    layer: str | None = None,
    max_wait: timedelta | None = None,
    lookup: Lookup | None = None,
    reset_lookup: bool = False,
    fallback: Sequence[FallbackStep | str] | None = None,
    hedging: Hedging | Unchanged | None = UNCHANGED,
) -> route_pb2.Route:
    """Return the route to send: the present one with what is given in its place."""
    route = route_pb2.Route()
    route.CopyFrom(present)
    if rules is not None:
        del route.rules[:]
        read = named([Rule.parse(rule) if isinstance(rule, str) else rule for rule in rules])
        route.rules.extend(rule.to_proto() for rule in read)
    wanted = {rule.variant for rule in route.rules}
    if route.HasField("shadowing"):
        wanted.add(route.shadowing.variant)
    arms = [one.to_proto() for one in variants] if variants is not None else list(_without_idle(present, wanted))
    known = {one.name: one for one in present.variants}
    for arm in arms:
        if not arm.pool and arm.name in known:
            arm.pool = known[arm.name].pool
    for name in sorted(wanted - {arm.name for arm in arms}):
        arm = route_pb2.Variant()
        arm.CopyFrom(known.get(name) or Variant(name, Version(name), 0).to_proto())
        arm.weight = 0
        arms.append(arm)
    del route.variants[:]
    route.variants.extend(arms)
    if unit is not None:
        route.unit = unit
    if layer is not None:
        route.layer = layer
    if max_wait is not None:
        route.max_wait.FromTimedelta(max_wait)
    if reset_lookup:
        route.ClearField("lookup")
    if lookup is not None:
        lookup.write_to(route)
    if fallback is not None:
        del route.fallback[:]
        read_steps = fallbacks.named([FallbackStep.parse(one) if isinstance(one, str) else one for one in fallback])
        route.fallback.extend(one.to_proto() for one in read_steps)
    if not isinstance(hedging, Unchanged):
        route.ClearField("hedging")
        if hedging is not None:
            hedging.write_to(route)
    return route


def _without_idle(present: route_pb2.Route, wanted: set[str]) -> list[route_pb2.Variant]:
    """Return the variants without those that were there for a rule alone and that no rule names any more."""
    ruled = {rule.variant for rule in present.rules}

    def idle(arm: route_pb2.Variant) -> bool:
        return not arm.weight and arm.version == arm.name and arm.name in ruled and arm.name not in wanted

    return [arm for arm in present.variants if not idle(arm)]


def _update(
    session: Session, route: route_pb2.Route, force: bool, reason: str, request_id: str, timeout: float
) -> Operation[route_pb2.UpdateRouteResponse]:
    request = route_pb2.UpdateRouteRequest(
        route=route, reason=reason, request_id=request_id or str(uuid.uuid4()), force=force
    )
    return (yield from invoke(session, route_pb2.UpdateRouteResponse, request, timeout_s=timeout))
