"""How much of a route's traffic versions may get that are not promoted: what the registry's policies allow, held here.

A version is promoted that is in production, or was and may be rolled back to. Weights count: shadows, rules and
fallbacks do not. A rollout asks gates and approvals before it moves anything, and is held by those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from headrace_servicekit.errors import FieldViolation, PreconditionFailed

from headrace_router.control.decisions.resolve import Registered, Resolution, ResolvedVariant
from headrace_router.control.decisions.routes import Route
from headrace_router.control.decisions.states import RouteState

_ROLLOUTS = "rollouts/"
# Shares are floating-point numbers: one is as large as another one that differs by less.
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class Excess:
    """What a route would give to versions that are not promoted, beyond what is allowed.

    share: of those versions together. bound: both from 0 to 1. growing: the variants that lead to one which gets more
    than it has in force, by their position in the route.
    """

    model: str
    share: float
    bound: float
    growing: Mapping[int, ResolvedVariant]

    def __str__(self) -> str:
        """Return what is wrong, in a sentence."""
        named = ", ".join(f"'{one.name}' ({one.version})" for one in self.growing.values())
        return (
            f"{named}: versions that are not promoted would get {self.share * 100:.4g} % of the traffic of "
            f"'{self.model}', and its policy allows {self.bound * 100:.4g} % (max_unpromoted_share)"
        )


def excess(state: RouteState, route: Route, variants: Sequence[ResolvedVariant], manager: str) -> Excess | None:
    """Return what of a route is not allowed; None where all of it is.

    A route that gives such versions no more together than they have in force, and some to none that has none, is always
    allowed: what serves is never torn down, and an experiment that harms can be stopped.
    """
    bound = state.registered.max_unpromoted_share
    if bound is None or manager.startswith(_ROLLOUTS):
        return None
    shares = _shares(route, variants, state.registered)
    share = sum(shares.values())
    if share <= bound + _EQUAL:
        return None
    before = _in_force(state)
    more = share > sum(before.values()) + _EQUAL
    given = {one for one in shares if one not in before or (more and shares[one] > before[one] + _EQUAL)}
    growing = {
        position: one
        for position, (variant, one) in enumerate(zip(route.variants, variants, strict=True))
        if variant.weight > 0 and one.version in given
    }
    return Excess(state.model, share, bound, growing) if growing else None


def check(state: RouteState, route: Route, variants: Sequence[ResolvedVariant], manager: str) -> None:
    """Raise PreconditionFailed, reason UNPROMOTED_SHARE_EXCEEDED, for a route that is not allowed."""
    found = excess(state, route, variants, manager)
    if found is None:
        return
    raise PreconditionFailed(
        f"{found}: promote the version, start a rollout of it, or raise the bound beside the model's gates or "
        "approvals",
        reason="UNPROMOTED_SHARE_EXCEEDED",
        violations=[
            FieldViolation(f"route.variants[{position}].weight", f"version '{one.version}' is not promoted")
            for position, one in found.growing.items()
        ],
        metadata={
            "model": state.model,
            "variants": ",".join(one.name for one in found.growing.values()),
            "version": next(iter(found.growing.values())).version,
            "share": f"{found.share:.6g}",
            "bound": f"{found.bound:.6g}",
        },
    )


def within_bound(state: RouteState, wanted: Resolution) -> Resolution:
    """Return what of the route in force may be followed: a variant whose alias was moved to a version that is not
    allowed that much keeps the version that it has."""
    found = held_back(state, wanted)
    if found is None or state.active is None:
        return wanted
    serving = {one.name: one for one in state.active.table.variants}
    kept = [
        serving.get(one.name, one) if position in found.growing else one for position, one in enumerate(wanted.variants)
    ]
    return replace(wanted, variants=tuple(kept))


def held_back(state: RouteState, wanted: Resolution) -> Excess | None:
    """Return why the route in force does not follow what the registry says; None where it does."""
    return excess(state, state.in_force, wanted.variants, state.in_force.managed_by)


def _in_force(state: RouteState) -> dict[str, float]:
    active = state.active
    return {} if active is None else _shares(state.in_force, active.table.variants, state.registered)


def _shares(route: Route, variants: Sequence[ResolvedVariant], registered: Registered) -> dict[str, float]:
    """Return the share of each version that is not promoted and gets some."""
    weights, found = route.weights, dict[str, float]()
    total = sum(weights.values())
    for one in variants:
        if weights.get(one.name, 0.0) > 0 and one.version not in registered.promoted:
            found[one.version] = found.get(one.version, 0.0) + weights[one.name] / total
    return found
