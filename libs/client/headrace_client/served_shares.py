"""Present share of each version: pure functions on a route as the control plane resolved it.

What is in production in the registry is served to callers only as far as the route's variants lead there. Shares are of
the units that no rule of the route decides: how many a rule matches is unknown beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.router.v1 import route_pb2

# Weights are floating-point numbers: a share is as large as another one that differs by less.
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class ServedShare:
    """A version's part of a route's traffic.

    share: of the units, 0 to 1, that its variants have. variants: their names. rules: those that lead to it. asked: the
    share that following production asks for: that of the variants which do, all where none does. others: the versions
    that the other units get, the largest share first.
    """

    version: str
    share: float
    variants: tuple[str, ...]
    rules: tuple[str, ...]
    asked: float
    others: tuple[str, ...]

    @property
    def falls_short(self) -> bool:
        """Whether callers get less of the version than its stage says."""
        return self.share <= 0 or self.share < self.asked - _EQUAL

    def __str__(self) -> str:
        """Return who gets the version, as a sentence without its subject."""
        by = f"{percent(self.share)} of callers by {_named('variant', self.variants)}" if self.variants else "no caller"
        ruled = f", and users that {_named('rule', self.rules)} matches" if self.rules else ""
        rest = f"; the others get {', '.join(self.others)}" if self.others else ""
        return by + ruled + rest


def served_share(route: route_pb2.Route, version: str) -> ServedShare:
    """Return which part of a route's traffic a version answers."""
    total = sum(one.weight for one in route.variants) or 1.0
    weighted = [one for one in route.variants if one.weight > 0]
    ours = [one for one in weighted if one.serving_version == version]
    following = sum(one.weight for one in weighted if one.follow_production)
    by_name = {one.name: one for one in route.variants}
    ruled = [rule.name for rule in route.rules if _serves(by_name.get(rule.variant), version)]
    others: dict[str, float] = {}
    for one in weighted:
        if one.serving_version not in ("", version):
            others[one.serving_version] = others.get(one.serving_version, 0.0) + one.weight
    return ServedShare(
        version=version,
        share=sum(one.weight for one in ours) / total,
        variants=tuple(one.name for one in ours),
        rules=tuple(ruled),
        asked=following / total if following > 0 else 1.0,
        others=tuple(sorted(others, key=lambda one: -others[one])),
    )


def marks(production: str, route: route_pb2.Route) -> dict[str, str]:
    """Return what is to be said of versions whose stage and traffic differ, by version.

    `in production, not served` where callers get less of it than its stage says, `served, not in production` where they
    get another one and no rollout or experiment holds the route.
    """
    found: dict[str, str] = {}
    if production and served_share(route, production).falls_short:
        share = served_share(route, production).share
        found[production] = f"in production, served to {percent(share)}" if share > 0 else "in production, not served"
    if not route.managed_by:
        for variant in route.variants:
            if variant.weight > 0 and variant.serving_version not in ("", production):
                found[variant.serving_version] = "served, not in production"
    return found


def command_to_serve(model: str, route: route_pb2.Route) -> str:
    """Return the command by which callers get what is in production."""
    if route.managed_by.startswith("experiments/"):
        return f"headrace experiments conclude {model} {route.managed_by.partition('/')[2]}"
    if route.managed_by.startswith("rollouts/"):
        return f"headrace rollouts watch {model}"
    return f"headrace routes split {model} production=100"


def percent(share: float) -> str:
    """Return a share as people write it.

    >>> percent(1.0), percent(0.125), percent(0.0001)
    ('100 %', '12.5 %', '0.01 %')
    """
    return f"{share * 100:.4g} %"


def _serves(variant: route_pb2.Variant | None, version: str) -> bool:
    return variant is not None and variant.serving_version == version


def _named(kind: str, names: Sequence[str]) -> str:
    quoted = ", ".join(f"'{name}'" for name in names)
    return f"{kind}{'s' if len(names) > 1 else ''} {quoted}"
