"""Rules by attribute as text: `germans: country=DE,AT app=ios-* !beta -> v3`.

A rule is conditions, an arrow and the variant that answers; a name in front is optional. All conditions must hold:

country=DE       has this value          country=DE,AT    has one of these
country!=US,CA   has none of these       app=ios-*        begins with this
beta             is there                !beta            is not there

A value with spaces, commas, asterisks or quotes is enclosed in double quotes, with a backslash before quotes and
backslashes.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from headrace.router.v1 import route_pb2

from headrace_client.errors import InvalidArgument, invalid


class Operator(enum.Enum):
    """What a condition asks of an attribute."""

    EQUALS = "equals"
    ANY_OF = "any_of"
    NONE_OF = "none_of"
    PREFIX = "prefix"
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of one attribute. values: one for EQUALS and PREFIX, some for ANY_OF and NONE_OF, else none."""

    attribute: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        listed = ",".join(_quoted(value) for value in self.values)
        match self.operator:
            case Operator.EQUALS | Operator.ANY_OF:
                return f"{self.attribute}={listed}"
            case Operator.NONE_OF:
                return f"{self.attribute}!={listed}"
            case Operator.PREFIX:
                return f"{self.attribute}={listed}*"
            case Operator.PRESENT:
                return self.attribute
            case Operator.ABSENT:
                return f"!{self.attribute}"

    def to_proto(self) -> route_pb2.Condition:
        """Return the condition as it is sent."""
        proto = route_pb2.Condition(attribute=self.attribute)
        match self.operator:
            case Operator.EQUALS | Operator.PREFIX:
                setattr(proto, self.operator.value, self.values[0])
            case Operator.ANY_OF | Operator.NONE_OF:
                getattr(proto, self.operator.value).values.extend(self.values)
            case Operator.PRESENT | Operator.ABSENT:
                proto.present = self.operator is Operator.PRESENT
        return proto

    @classmethod
    def from_proto(cls, proto: route_pb2.Condition) -> Condition:
        """Return a condition as a value."""
        match proto.WhichOneof("test"):
            case "any_of":
                return cls(proto.attribute, Operator.ANY_OF, tuple(proto.any_of.values))
            case "none_of":
                return cls(proto.attribute, Operator.NONE_OF, tuple(proto.none_of.values))
            case "prefix":
                return cls(proto.attribute, Operator.PREFIX, (proto.prefix,))
            case "present":
                return cls(proto.attribute, Operator.PRESENT if proto.present else Operator.ABSENT)
            case _:
                return cls(proto.attribute, Operator.EQUALS, (proto.equals,))


@dataclass(frozen=True, slots=True)
class Rule:
    """Sends the requests that meet all conditions to one variant. name: empty lets `named` give one."""

    conditions: tuple[Condition, ...]
    variant: str
    name: str = ""

    def __str__(self) -> str:
        begin = f"{self.name}: " if self.name else ""
        return f"{begin}{' '.join(map(str, self.conditions))} -> {self.variant}"

    def to_proto(self) -> route_pb2.Rule:
        """Return the rule as it is sent."""
        return route_pb2.Rule(
            name=self.name, conditions=[one.to_proto() for one in self.conditions], variant=self.variant
        )

    @classmethod
    def from_proto(cls, proto: route_pb2.Rule) -> Rule:
        """Return a rule as a value."""
        return cls(tuple(Condition.from_proto(one) for one in proto.conditions), proto.variant, proto.name)

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Return the rule that a text says. Raises InvalidArgument that says where it cannot be read."""
        parts = _ARROW.fullmatch(text)
        if parts is None:
            raise _unreadable(text, "an arrow and a variant are missing at its end, such as `-> v3`")
        begin, variant = parts.groups()
        named = _NAME.match(begin)
        name, at = (named[1], named.end()) if named else ("", 0)
        conditions = []
        begin = begin.rstrip()
        while at < len(begin):
            found = _CONDITION.match(begin, at)
            if found is None:
                raise _unreadable(text, f"`{begin[at:].strip()}` is no condition, such as country=DE or !beta")
            conditions.append(_condition(found))
            at = found.end()
        if not conditions:
            raise _unreadable(text, "no condition stands before the arrow")
        return cls(tuple(conditions), variant, name)


_ARROW = re.compile(r"(.*)(?:->|→)\s*(\S+)\s*", re.DOTALL)
_NAME = re.compile(r"\s*([a-z0-9-]+):(?=\s)")
# Not with an equals sign in front: `country==DE` is a slip.
_PLAIN = r'[^\s",*=][^\s",*]*'
_VALUE = rf'(?:"(?:[^"\\]|\\.)*"|{_PLAIN})'
_CONDITION = re.compile(
    rf"\s*(?:!(?P<absent>[\w.-]+)|(?P<attribute>[\w.-]+)(?:(?P<sign>!?=)(?P<values>{_VALUE}(?:,{_VALUE})*)(?P<star>\*)?)?)"
    r"(?=\s|$)",
    re.ASCII,
)
_BARE = re.compile(_PLAIN)


def named(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules, each with a name: its own, else one made from its conditions (`country-de`)."""
    taken = {rule.name for rule in rules if rule.name}
    given = []
    for rule in rules:
        name = rule.name or _free_name(rule, taken)
        taken.add(name)
        given.append(replace(rule, name=name))
    return given


def _free_name(rule: Rule, taken: Collection[str]) -> str:
    words = " ".join(map(str, rule.conditions)).replace("!=", " not ").replace("!", "no ").lower()
    name = re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:40].strip("-") or "rule"
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def _condition(found: re.Match[str]) -> Condition:
    if found["absent"]:
        return Condition(found["absent"], Operator.ABSENT)
    attribute = found["attribute"]
    if not found["sign"]:
        return Condition(attribute, Operator.PRESENT)
    values = tuple(_plain(value) for value in re.findall(_VALUE, found["values"]))
    if found["sign"] == "!=":
        if found["star"]:
            raise _unreadable(found[0].strip(), "a beginning cannot be ruled out, only whole values")
        return Condition(attribute, Operator.NONE_OF, values)
    if found["star"]:
        if len(values) > 1:
            raise _unreadable(found[0].strip(), "an asterisk stands behind one value, not behind a list")
        return Condition(attribute, Operator.PREFIX, values)
    return Condition(attribute, Operator.EQUALS if len(values) == 1 else Operator.ANY_OF, values)


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL) if value.startswith('"') else value


def _quoted(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _unreadable(text: str, why: str) -> InvalidArgument:
    return invalid("rule", f"'{text}' cannot be read: {why}")
