"""What makes rules by attribute valid: every mistake is found at once, and named by its field."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from headrace_servicekit.errors import FieldViolation

from headrace_router.control.decisions.names import NAME_RULE, is_name, twice
from headrace_router.rules import Condition, Operator, Rule

MAX_RULES = 64
MAX_CONDITIONS = 16
MAX_VALUES = 256
MAX_VALUE_CHARS = 256
# Of all values together: tables travel whole, and every data plane keeps them.
MAX_CHARS = 100_000

_ATTRIBUTE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


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
