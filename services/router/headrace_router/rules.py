"""Rules by attribute: which requests go to a variant before the weights are asked.

The control plane checks and stores them, data planes try them; this is what both understand by a match.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Attributes = Mapping[str, str]
NO_ATTRIBUTES: Attributes = MappingProxyType({})
Test = Callable[[Attributes], bool]
Decide = Callable[[Attributes], "int | None"]


class Operator(enum.Enum):
    """What a condition asks of an attribute; the names are those of the proto's `test`, but for ABSENT."""

    EQUALS = "equals"
    ANY_OF = "any_of"
    NONE_OF = "none_of"
    PREFIX = "prefix"
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of one attribute. values: one for EQUALS and PREFIX, any number for ANY_OF and NONE_OF, else none."""

    attribute: str
    operator: Operator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """Sends the requests that meet all conditions to one variant."""

    name: str
    conditions: tuple[Condition, ...]
    variant: str


def first_match(rules: Sequence[Rule], attributes: Attributes) -> Rule | None:
    """Return the rule that decides about a request, None when the weights do."""
    position = compile_rules([rule.conditions for rule in rules])(attributes)
    return None if position is None else rules[position]


def compile_rules(rules: Sequence[Sequence[Condition]]) -> Decide:
    """Return a function that gives the position of the first rule whose conditions a request's attributes all meet.

    Made once, called per request. A rule that wants a value of an attribute is looked up by that value: many rules by
    country cost a request about what one does.
    """
    tests = [[_compile(condition) for condition in conditions] for conditions in rules]
    unkeyed: list[int] = []
    keyed: dict[str, dict[str, list[int]]] = {}
    for position, conditions in enumerate(rules):
        key = next((one for one in conditions if one.operator in (Operator.EQUALS, Operator.ANY_OF)), None)
        if key is None:
            unkeyed.append(position)
        else:
            for value in dict.fromkeys(key.values):
                keyed.setdefault(key.attribute, {}).setdefault(value, []).append(position)
    indexes = tuple(keyed.items())

    def decide(attributes: Attributes) -> int | None:
        candidates = unkeyed.copy()
        for attribute, by_value in indexes:
            value = attributes.get(attribute)
            if value is not None:
                candidates += by_value.get(value, ())
        candidates.sort()
        for position in candidates:
            for test in tests[position]:
                if not test(attributes):
                    break
            else:
                return position
        return None

    return decide


def condition_of(proto: Any) -> Condition:
    """Return a `headrace.router.v1.Condition` as a value. Raises ValueError for one that asks nothing known here."""
    match proto.WhichOneof("test"):
        case "equals":
            return Condition(proto.attribute, Operator.EQUALS, (proto.equals,))
        case "any_of":
            return Condition(proto.attribute, Operator.ANY_OF, tuple(proto.any_of.values))
        case "none_of":
            return Condition(proto.attribute, Operator.NONE_OF, tuple(proto.none_of.values))
        case "prefix":
            return Condition(proto.attribute, Operator.PREFIX, (proto.prefix,))
        case "present":
            return Condition(proto.attribute, Operator.PRESENT if proto.present else Operator.ABSENT)
        case unknown:
            raise ValueError(f"a condition on {proto.attribute!r} asks {unknown or 'nothing'}")


def _compile(condition: Condition) -> Test:
    name, values = condition.attribute, condition.values
    match condition.operator:
        case Operator.EQUALS:
            (only,) = values
            return lambda attributes: attributes.get(name) == only
        case Operator.ANY_OF:
            wanted = frozenset(values)
            return lambda attributes: attributes.get(name) in wanted
        case Operator.NONE_OF:
            unwanted = frozenset(values)
            return lambda attributes: attributes.get(name) not in unwanted
        case Operator.PREFIX:
            (beginning,) = values
            return lambda attributes: (attributes.get(name) or "").startswith(beginning) and name in attributes
        case Operator.PRESENT:
            return lambda attributes: name in attributes
        case Operator.ABSENT:
            return lambda attributes: name not in attributes
