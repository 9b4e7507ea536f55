"""Routes as people declare them, and what makes a declaration valid."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from headrace_servicekit.errors import FieldViolation

from headrace_router.buckets import BUCKETS
from headrace_router.control.decisions.fallback_steps import FallbackStep, step_violations
from headrace_router.control.decisions.lookups import (
    Hedging,
    Lookup,
    Shadowing,
    hedging_violations,
    lookup_violations,
    shadowing_violations,
)
from headrace_router.control.decisions.names import NAME_RULE, Serves, is_name, twice
from headrace_router.rules import Condition, Operator, Rule

DEFAULT_POOL = "default"
MAX_VARIANTS = 64
MAX_WAIT_US = 1_000_000
MAX_WEIGHT = 1e9
MAX_RULES = 64
MAX_CONDITIONS = 16
MAX_VALUES = 256
MAX_VALUE_CHARS = 256
# Of all values together: tables travel whole, and every data plane keeps them.
MAX_CHARS = 100_000

# The one variant of a default route.
IMPLICIT_VARIANT = "production"

_ATTRIBUTE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Unit(enum.IntEnum):
    """What keeps its variant from request to request; the numbers are the proto's."""

    ANY = 0
    USER = 1
    ENTITY = 2
    REQUEST = 3


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant. target: id of the version or the alias; empty for the one in production."""

    name: str
    serves: Serves
    target: str
    weight: float
    pool: str = DEFAULT_POOL


@dataclass(frozen=True, slots=True)
class Route:
    """What is declared for a model.

    etag: empty for the implicit route, otherwise new with each accepted write. managed_by: who alone may write it, such
    as `rollouts/7`; empty when anybody may. lookup: None for every default. hedging, shadowing: None for never. layer:
    of routes that split units alike; empty for a split of its own.
    """

    model: str
    variants: tuple[Variant, ...]
    unit: Unit = Unit.ANY
    max_wait_us: int | None = None
    etag: str = ""
    updated_at: datetime | None = None
    updated_by: str = ""
    rules: tuple[Rule, ...] = ()
    managed_by: str = ""
    lookup: Lookup | None = None
    fallback: tuple[FallbackStep, ...] = ()
    hedging: Hedging | None = None
    shadowing: Shadowing | None = None
    layer: str = ""

    @property
    def weights(self) -> dict[str, float]:
        """Return the weights by variant name."""
        return {variant.name: variant.weight for variant in self.variants}


def implicit(model: str) -> Route:
    """Return the default route of a model without a written one: everything to the version in production."""
    return Route(model, (Variant(IMPLICIT_VARIANT, Serves.PRODUCTION, "", 1.0),))


def violations(route: Route) -> list[FieldViolation]:
    """Return everything that is wrong with a declaration, by field of UpdateRouteRequest; whether versions exist is not
    looked at."""
    found = list(_shape_violations(route))
    for position, variant in enumerate(route.variants):
        found += _variant_violations(f"route.variants[{position}]", variant)
    found += twice("route.variants", "variant", [variant.name for variant in route.variants])
    found += rule_violations(route.rules, {variant.name for variant in route.variants})
    if route.variants and not any(field.field.endswith(".weight") for field in found):
        found += _share_violations(route)
    if route.lookup is not None:
        found += lookup_violations(route.lookup)
    found += step_violations(route.fallback, {variant.pool for variant in route.variants})
    if route.hedging is not None:
        found += hedging_violations(route.hedging)
    if route.shadowing is not None:
        found += shadowing_violations(route.shadowing, {variant.name for variant in route.variants})
    return found


def _shape_violations(route: Route) -> Iterator[FieldViolation]:
    if not route.variants:
        yield FieldViolation("route.variants", "a route needs at least one variant")
    if len(route.variants) > MAX_VARIANTS:
        yield FieldViolation("route.variants", f"{len(route.variants)} variants; at most {MAX_VARIANTS} are allowed")
    if route.max_wait_us is not None and not 0 <= route.max_wait_us <= MAX_WAIT_US:
        yield FieldViolation("route.max_wait", f"must be between 0 s and {MAX_WAIT_US / 1e6:g} s")
    if route.layer and not is_name(route.layer):
        yield FieldViolation("route.layer", f"'{route.layer}' {NAME_RULE}")


def _variant_violations(field: str, variant: Variant) -> Iterator[FieldViolation]:
    if not is_name(variant.name):
        yield FieldViolation(f"{field}.name", f"'{variant.name}' {NAME_RULE}")
    if variant.serves is Serves.VERSION and not is_name(variant.target):
        yield FieldViolation(f"{field}.version", f"'{variant.target}' {NAME_RULE}")
    if variant.serves is Serves.ALIAS and not is_name(variant.target):
        yield FieldViolation(f"{field}.follow_alias", f"'{variant.target}' {NAME_RULE}")
    if not is_name(variant.pool):
        yield FieldViolation(f"{field}.pool", f"'{variant.pool}' {NAME_RULE}")
    if not (math.isfinite(variant.weight) and 0 <= variant.weight <= MAX_WEIGHT):
        yield FieldViolation(f"{field}.weight", f"{variant.weight!r} must be a number from 0 to {MAX_WEIGHT:g}")


def _share_violations(route: Route) -> Iterator[FieldViolation]:
    total = math.fsum(variant.weight for variant in route.variants)
    if total <= 0:
        yield FieldViolation("route.variants[0].weight", "at least one variant needs a weight above zero")
        return
    for position, variant in enumerate(route.variants):
        if 0 < variant.weight * BUCKETS < total:
            share = f"its share is below the smallest that can be assigned, 1 in {BUCKETS:,}; use 0 for no traffic"
            yield FieldViolation(f"route.variants[{position}].weight", f"{variant.weight!r}: {share}")


def rule_violations(rules: Sequence[Rule], variants: Collection[str]) -> Iterator[FieldViolation]:
    """Yield everything that is wrong with a route's rules. variants: names of the route's variants."""
    if len(rules) > MAX_RULES:
        yield FieldViolation("route.rules", f"{len(rules)} rules; at most {MAX_RULES} are allowed")
        return
    chars = sum(len(value) for rule in rules for condition in rule.conditions for value in condition.values)
    if chars > MAX_CHARS:
        yield FieldViolation("route.rules", f"{chars} characters of values; at most {MAX_CHARS} are allowed")
        return
    for position, rule in enumerate(rules):
        field = f"route.rules[{position}]"
        if not is_name(rule.name):
            yield FieldViolation(f"{field}.name", f"'{rule.name}' {NAME_RULE}")
        if rule.variant not in variants:
            yield FieldViolation(f"{field}.variant", f"'{rule.variant}' is no variant of the route")
        if not 1 <= len(rule.conditions) <= MAX_CONDITIONS:
            allowed = f"from 1 to {MAX_CONDITIONS} are allowed; what every request meets is a matter of weights"
            yield FieldViolation(f"{field}.conditions", f"{len(rule.conditions)} conditions; {allowed}")
        for number, condition in enumerate(rule.conditions):
            yield from _condition_violations(f"{field}.conditions[{number}]", condition)
    yield from twice("route.rules", "rule", [rule.name for rule in rules])


def _condition_violations(field: str, condition: Condition) -> Iterator[FieldViolation]:
    if _ATTRIBUTE.fullmatch(condition.attribute) is None:
        allowed = "must be 1 to 64 letters, digits, '_', '.' or '-'"
        yield FieldViolation(f"{field}.attribute", f"'{condition.attribute}' {allowed}")
    test = f"{field}.{condition.operator.value}"
    if condition.operator in (Operator.ANY_OF, Operator.NONE_OF) and not 1 <= len(condition.values) <= MAX_VALUES:
        yield FieldViolation(f"{test}.values", f"{len(condition.values)} values; from 1 to {MAX_VALUES} are allowed")
    if condition.operator is Operator.PREFIX and condition.values == ("",):
        yield FieldViolation(test, "must not be empty: every value begins with it; `present` asks for any value")
    longest = max(map(len, condition.values), default=0)
    if longest > MAX_VALUE_CHARS:
        yield FieldViolation(test, f"a value of {longest} characters; at most {MAX_VALUE_CHARS} are allowed")
    elif any("\0" in value for value in condition.values):
        yield FieldViolation(test, "a value with a NUL character, which cannot be stored")
