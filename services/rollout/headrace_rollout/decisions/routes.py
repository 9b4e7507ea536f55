"""The routes that a rollout writes: pure functions on Route messages.

A rollout of a variant adds one more, `rollout`, that serves the new version in the same pool, and moves weight between
the two. Every other variant, rule and fallback stays. While it runs the variant before names its version by id: what
follows production would move with a promotion by hand.
"""

from __future__ import annotations

from headrace.router.v1 import route_pb2
from headrace_servicekit.errors import FieldViolation, PreconditionFailed, refusal

from headrace_rollout.decisions.rollouts import Rollout, State

Route = route_pb2.Route

VARIANT = "rollout"


def variant_of(route: Route, name: str) -> route_pb2.Variant:
    """Return the variant whose traffic moves. name: empty for the only one that has traffic.

    Raises InvalidArgument naming the field, and PreconditionFailed, reason VARIANT_AMBIGUOUS.
    """
    if name:
        named = [variant for variant in route.variants if variant.name == name]
        if not named:
            there = ", ".join(variant.name for variant in route.variants)
            raise refusal([FieldViolation("variant", f"the route has no variant '{name}', only {there}")])
        if not named[0].weight > 0:
            raise refusal([FieldViolation("variant", f"variant '{name}' has no traffic that could move")])
        return named[0]
    weighted = [variant for variant in route.variants if variant.weight > 0]
    if len(weighted) != 1:
        there = ", ".join(variant.name for variant in weighted)
        raise PreconditionFailed(
            f"the route splits traffic among {there}: name the variant whose version changes",
            reason="VARIANT_AMBIGUOUS",
        )
    return weighted[0]


def check_unit(route: Route, *, sticky: bool) -> None:
    """Refuse to assign requests one by one where that would move users between other variants.

    Raises PreconditionFailed, reason UNIT_IN_USE.
    """
    weighted = [variant for variant in route.variants if variant.weight > 0]
    if not sticky and len(weighted) > 1 and route.unit != Route.UNIT_REQUEST:
        raise PreconditionFailed(
            "the route splits users among variants, and a rollout by request would move them: set `sticky`",
            reason="UNIT_IN_USE",
        )


def check_shadowing(route: Route) -> None:
    """Refuse to take the place of a shadow that a route has. Raises PreconditionFailed, reason SHADOWING_IN_USE."""
    if route.HasField("shadowing"):
        message = f"the route sends copies to variant '{route.shadowing.variant}' already: end that first"
        raise PreconditionFailed(message, reason="SHADOWING_IN_USE")


def staged(original: Route, rollout: Rollout) -> Route:
    """Return the route of the stage that a rollout is at."""
    variant, baseline, version, share = rollout.variant, rollout.baseline, rollout.version, rollout.stage_share
    if rollout.state is State.SHADOWING:
        return shadowed(original, variant, baseline=baseline, version=version, share=share, keeps=rollout.warming)
    sticky = rollout.policy.sticky
    return shifted(original, variant, baseline=baseline, version=version, share=share, sticky=sticky)


def shifted(original: Route, variant: str, *, baseline: str, version: str, share: float, sticky: bool) -> Route:
    """Return the route in which `version` has a share of a variant's traffic, from 0 to 1; `baseline` has the rest."""
    route = Route()
    route.CopyFrom(original)
    if not sticky:
        route.unit = Route.UNIT_REQUEST
    candidate = None
    for one in route.variants:
        if one.name == variant:
            candidate = route_pb2.Variant(name=VARIANT, version=version, weight=one.weight * share, pool=one.pool)
            one.version = baseline
            one.weight *= 1 - share
    assert candidate is not None
    route.variants.append(candidate)
    return route


def shadowed(original: Route, variant: str, *, baseline: str, version: str, share: float, keeps: bool = False) -> Route:
    """Return the route in which `version` gets copies of a share of what is computed, and gets no requests.

    keeps: whether its answers are cached, and what comes from the cache is copied too.
    """
    route = Route()
    route.CopyFrom(original)
    one = next(one for one in route.variants if one.name == variant)
    one.version = baseline
    route.variants.append(route_pb2.Variant(name=VARIANT, version=version, weight=0, pool=one.pool))
    route.shadowing.variant, route.shadowing.share, route.shadowing.keeps_answers = VARIANT, share, keeps
    return route


def promoted(original: Route, variant: str, version: str) -> Route:
    """Return the route in which a variant serves `version`, or still follows production or an alias if it did."""
    route = Route()
    route.CopyFrom(original)
    for one in route.variants:
        if one.name == variant and one.WhichOneof("serves") == "version":
            one.version = version
    return route


def reference(route: Route, variant: str) -> tuple[str, str]:
    """Return what a variant names its version by: `version`, `follow_production` or `follow_alias`, and the alias."""
    one = next(one for one in route.variants if one.name == variant)
    kind = one.WhichOneof("serves") or "follow_production"
    return kind, one.follow_alias if kind == "follow_alias" else ""


def moved(route: Route, variant: str, share: float) -> float:
    """Return which share of all units changes version when a share of a variant's traffic moves."""
    total = sum(one.weight for one in route.variants)
    return next(one.weight for one in route.variants if one.name == variant) / total * share if total > 0 else 0.0
