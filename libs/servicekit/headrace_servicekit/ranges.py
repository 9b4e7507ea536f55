"""Which numbers a request may have (`headrace.validation.v1`): one check for all services, before a servicer is called.

Numbers with a fraction are finite, times are of the years 1 to 9999, durations last up to a century, and a field with a
range lies in it. What is to be looked at is worked out of the descriptors, once for each type of message.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from headrace.validation.v1 import validation_pb2

from headrace_servicekit.errors import FieldViolation, refuse

# Of a list of a million numbers that are all wrong, the first ones.
MOST_VIOLATIONS = 20

_RANGE: Any = validation_pb2.range  # its generated type is not the one that Extensions asks for
_BY_ITEM: Any = validation_pb2.judged_by_item
_FRACTIONS = frozenset((FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT))
_WHOLE = frozenset(
    (
        FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64,
    )
)  # fmt: skip
_DURATION, _TIMESTAMP = "google.protobuf.Duration", "google.protobuf.Timestamp"
# As duration.proto and timestamp.proto have them: ten thousand years, and the years 1 to 9999.
_MOST_DURATION_S = 315_576_000_000
# Nothing here is to last longer, or for less than no time, unless its range says so.
_CENTURY_S = 3_155_760_000
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799
_SECOND_NS = 1_000_000_000


def check(request: Any) -> None:
    """Raise InvalidArgument, reason VALUE_OUT_OF_RANGE, that names each field with a number that it may not have."""
    descriptor = getattr(request, "DESCRIPTOR", None)
    if descriptor is not None and (fields := fields_of(descriptor)):
        refuse([*islice(_violations(request, fields, ""), MOST_VIOLATIONS)], reason="VALUE_OUT_OF_RANGE")


class Rule(Protocol):
    """What the values of a field may be."""

    def fit(self, values: Iterable[Any]) -> bool:
        """Return whether all are what they may be."""
        ...

    def wrong(self, value: Any) -> str | None:
        """Return what is wrong with a value; None where nothing is."""
        ...


@dataclass(frozen=True, slots=True)
class Numbers:
    """Finite numbers within bounds, both inclusive; None for none."""

    minimum: float | None = None
    maximum: float | None = None

    def fit(self, values: Iterable[Any]) -> bool:
        return (
            all(map(math.isfinite, values))
            and (self.minimum is None or min(values, default=self.minimum) >= self.minimum)
            and (self.maximum is None or max(values, default=self.maximum) <= self.maximum)
        )

    def wrong(self, value: Any, unit: str = "") -> str | None:
        if not math.isfinite(value):
            return f"{value} is no finite number"
        if self.minimum is not None and value < self.minimum:
            return f"{_plain(value)}{unit} is less than {_plain(self.minimum)}{unit}, the least that is allowed"
        if self.maximum is not None and value > self.maximum:
            return f"{_plain(value)}{unit} is more than {_plain(self.maximum)}{unit}, the most that is allowed"
        return None


@dataclass(frozen=True, slots=True)
class Durations:
    """Durations that protobuf can have, within bounds in seconds."""

    seconds: Numbers

    def fit(self, values: Iterable[Any]) -> bool:
        return all(self.wrong(value) is None for value in values)

    def wrong(self, value: Any) -> str | None:
        s, ns = value.seconds, value.nanos
        if abs(s) > _MOST_DURATION_S or abs(ns) >= _SECOND_NS or s * ns < 0:
            return f"{s} s and {ns} ns are no duration: at most {_MOST_DURATION_S} s either way, both of one sign"
        return self.seconds.wrong(s + ns / _SECOND_NS, " s")


class Times:
    """Times that protobuf can have."""

    def fit(self, values: Iterable[Any]) -> bool:
        return all(self.wrong(value) is None for value in values)

    def wrong(self, value: Any) -> str | None:
        if _FIRST_S <= value.seconds <= _LAST_S and 0 <= value.nanos < _SECOND_NS:
            return None
        return f"{value.seconds} s and {value.nanos} ns since 1970 are no time of the years 1 to 9999"


@dataclass(frozen=True, slots=True)
class Checked:
    """A field that is looked at. rule: None where its values are messages that have such fields."""

    name: str
    repeated: bool
    mapped: bool
    rule: Rule | None
    inner: Descriptor | None


@functools.cache
def fields_of(descriptor: Descriptor) -> dict[int, Checked]:
    """Return the fields of a message that are looked at, by their number."""
    reached = _reached(descriptor)
    wanted = {one.full_name for one in reached.values() if any(rule_of(field) for field in one.fields)}
    while grown := {
        name
        for name, one in reached.items()
        if name not in wanted and any(_message(field) in wanted for field in one.fields)
    }:
        wanted |= grown
    found = {}
    for field in descriptor.fields:
        rule, value = rule_of(field), _value(field)
        if rule is not None or _message(field) in wanted:
            mapped = value is not field
            inner = None if rule is not None else value.message_type
            found[field.number] = Checked(field.name, field.is_repeated and not mapped, mapped, rule, inner)
    return found


def rule_of(field: FieldDescriptor) -> Rule | None:
    """Return what a field's values may be, those of a map too; None where they may be anything."""
    options, value, inner = field.GetOptions(), _value(field), _message(field)
    stated = options.Extensions[_RANGE] if options.HasExtension(_RANGE) else None
    bounds = Numbers(_bound(stated, "minimum"), _bound(stated, "maximum"))
    if value.cpp_type in _FRACTIONS or (value.cpp_type in _WHOLE and stated is not None):
        return bounds
    if inner == _DURATION:
        return Durations(bounds if stated is not None else Numbers(0, _CENTURY_S))
    if inner == _TIMESTAMP:
        return Times()
    if stated is not None:
        raise ValueError(f"{field.full_name} has a range, and is no number and no duration")
    return None


def _bound(stated: Any, name: str) -> float | None:
    return getattr(stated, name) if stated is not None and stated.HasField(name) else None


def _violations(message: Any, fields: dict[int, Checked], path: str) -> Iterator[FieldViolation]:
    for field, value in message.ListFields():
        checked = fields.get(field.number)
        if checked is None:
            continue
        place = f"{path}{checked.name}"
        if checked.inner is not None:
            inner = fields_of(checked.inner)
            for at, one in _values(value, checked):
                yield from _violations(one, inner, f"{place}{at}.")
        elif checked.rule is not None and not checked.rule.fit(_plural(value, checked)):
            for at, one in _values(value, checked):
                wrong = checked.rule.wrong(one)
                if wrong is not None:
                    yield FieldViolation(f"{place}{at}", wrong)


def _values(value: Any, checked: Checked) -> Iterator[tuple[str, Any]]:
    if checked.mapped:
        return ((f"[{key!r}]", value[key]) for key in value)
    if checked.repeated:
        return ((f"[{at}]", one) for at, one in enumerate(value))
    return iter((("", value),))


def _plural(value: Any, checked: Checked) -> Any:
    return value.values() if checked.mapped else value if checked.repeated else (value,)


def _value(field: FieldDescriptor) -> FieldDescriptor:
    """Return what a map has for values; any other field itself."""
    entry = field.message_type
    return entry.fields_by_name["value"] if entry is not None and entry.GetOptions().map_entry else field


def _message(field: FieldDescriptor) -> str | None:
    """Return the type of message that a field holds; None for none, and where the service judges what is in it."""
    inner = None if field.GetOptions().Extensions[_BY_ITEM] else _value(field).message_type
    return None if inner is None else inner.full_name


def _reached(descriptor: Descriptor) -> dict[str, Descriptor]:
    """Return the types of messages that one can hold, itself included."""
    reached, ahead = {descriptor.full_name: descriptor}, [descriptor]
    while ahead:
        for field in ahead.pop().fields:
            inner = _value(field).message_type
            if inner is not None and inner.full_name not in reached and rule_of(field) is None:
                reached[inner.full_name] = inner
                ahead.append(inner)
    return reached


def _plain(value: float) -> str:
    """Return a number for people: a whole one without a fraction."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e18 else repr(value)
