"""Files that say how an installation should be: models, routes, alert rules, budgets and scaling policies, by name.

A resource is written with the fields of the API, in YAML; what is not stated is left as it is. Pure but for reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from headrace.autoscaler.v1 import policy_pb2
from headrace.monitor.v1 import alert_pb2, usage_pb2
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import route_pb2

from headrace_client.errors import InvalidArgument
from headrace_client.yaml_files import composed, line_of

MAX_CHARS = 2**20
MAX_NODES = 200_000
REASON = "STATE_INVALID"
_WHAT = "a description of an installation"
_YAML = "tag:yaml.org,2002:"
# A date that nobody quoted is a text for the API.
_TEXTS = frozenset(("str", "timestamp", "merge", "value"))
_VALUES = frozenset(("null", "bool", "int", "float"))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of resource. section: of the file. message: of the API. name: of one, where `{}` is its id."""

    section: str
    message: type[Message]
    name: str
    fixed: frozenset[str]
    """Fields that a file cannot state: the name, and what the service says."""


# In the order in which they are applied: what is named by others comes first.
KINDS = (
    Kind(
        "models",
        registry_pb2.Model,
        "models/{}",
        frozenset({"name", "aliases", "production_version", "epoch", "etag", "create_time", "update_time"}),
    ),
    Kind("budgets", usage_pb2.Budget, "budgets/{}", frozenset({"name"})),
    Kind("alert_rules", alert_pb2.AlertRule, "alertRules/{}", frozenset({"name"})),
    Kind("pools", policy_pb2.ScalingPolicy, "pools/{}/policy", frozenset({"name", "etag", "revision"})),
    Kind(
        "routes",
        route_pb2.Route,
        "routes/{}",
        frozenset({"name", "etag", "update_time", "updated_by", "managed_by"}),
    ),
)
_BY_SECTION = {kind.section: kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a file. stated: its fields, as they were written. place: file and line."""

    kind: Kind
    id: str
    stated: Mapping[str, Any]
    place: str

    @property
    def name(self) -> str:
        """Return its name in the API."""
        return self.kind.name.format(self.id)


def read_state(paths: Sequence[Path]) -> list[Resource]:
    """Return the resources of files, in the order in which they are applied. Raises InvalidArgument with the line."""
    found: dict[tuple[str, str], Resource] = {}
    for path in paths:
        for resource in _resources(path):
            before = found.setdefault((resource.kind.section, resource.id), resource)
            if before is not resource:
                raise _wrong(resource.place, f"{resource.kind.section}.{resource.id} is in {before.place} too")
    order = [kind.section for kind in KINDS]
    return sorted(found.values(), key=lambda one: (order.index(one.kind.section), one.id))


def wanted(resource: Resource, present: Message | None) -> Message:
    """Return a resource with what its file states in the place of what there is. Raises InvalidArgument."""
    stated = resource.kind.message()
    _check_names(resource.stated, stated.DESCRIPTOR, f"{resource.kind.section}.{resource.id}", resource.place)
    try:
        json_format.ParseDict(dict(resource.stated), stated)
    except (json_format.ParseError, RecursionError) as error:
        raise _wrong(resource.place, f"{resource.kind.section}.{resource.id}: {_said(error)}") from None
    made = resource.kind.message()
    if present is not None:
        made.CopyFrom(present)
    _overlay(made, stated, resource.stated)
    if "name" in made.DESCRIPTOR.fields_by_name:
        made.name = resource.name  # type: ignore[attr-defined]
    return made


def differences(present: Message | None, made: Message, stated: Mapping[str, Any]) -> list[str]:
    """Return a line for each field that a file states and that is otherwise now; none where all is so already."""
    before = {} if present is None else _plain(present)
    lines: list[str] = []
    _compare(before, _plain(made), stated, made.DESCRIPTOR, "", lines)
    return lines


def _check_names(written: Mapping[str, Any], descriptor: Any, path: str, place: str) -> None:
    """Refuse fields that a message, or one within it, does not have: the API's other spelling is none of a file's."""
    fields: Mapping[str, Any] = descriptor.fields_by_name
    for key, value in written.items():
        field = fields.get(key)
        if field is None:
            raise _wrong(place, f"{path}.{key} is not known here; known: {', '.join(fields)}")
        part = field.message_type
        if part is None or part.full_name.startswith("google.protobuf.") or part.GetOptions().map_entry:
            continue
        for at, one in enumerate(value) if isinstance(value, list) else ((None, value),):
            if isinstance(one, Mapping):
                _check_names(one, part, f"{path}.{key}" if at is None else f"{path}.{key}[{at}]", place)


def _overlay(into: Message, stated: Message, written: Mapping[str, Any]) -> None:
    """Put what is written in place of what is there: messages field by field, lists and maps as a whole.

    A list that is so already stays, with what a file does not say of its items.
    """
    fields: Mapping[str, Any] = into.DESCRIPTOR.fields_by_name
    before, after = _plain(into), _plain(stated)
    for key, value in written.items():
        field = fields[key]
        if value is None:
            into.ClearField(key)  # type: ignore[arg-type]
        elif _is_part(field) and isinstance(value, Mapping):
            part = getattr(into, key)
            part.SetInParent()
            _overlay(part, getattr(stated, key), value)
        elif not (field.is_repeated and _same(before.get(key), after.get(key), value, field)):
            into.ClearField(key)  # type: ignore[arg-type]
            if field.is_repeated:
                getattr(into, key).MergeFrom(getattr(stated, key))
            elif field.message_type is not None:
                getattr(into, key).CopyFrom(getattr(stated, key))
            else:
                setattr(into, key, getattr(stated, key))


def _compare(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    written: Mapping[str, Any],
    descriptor: Any,
    path: str,
    lines: list[str],
) -> None:
    for key, value in written.items():
        field, at = descriptor.fields_by_name[key], f"{path}{key}"
        was, will = before.get(key), after.get(key)
        if _is_part(field) and isinstance(value, Mapping):
            _compare(was or {}, will or {}, value, field.message_type, f"{at}.", lines)
        elif not _same(was, will, value, field):
            lines.append(f"{at}: {_shown(was)} -> {_shown(will)}")


def _same(was: Any, will: Any, written: Any, field: FieldDescriptor) -> bool:
    """Return whether what is written of a field is so already: a service may say more of each item of a list."""
    if field.has_presence and field.message_type is None:
        return was == will  # a zero that is there is not what is not there
    if not field.is_repeated or field.message_type is None or field.message_type.GetOptions().map_entry:
        return (was or None) == (will or None)
    was, will = was or [], will or []
    if len(was) != len(will) or not isinstance(written, Sequence):
        return False
    for one, other, of in zip(was, will, written, strict=True):
        lines: list[str] = []
        if isinstance(of, Mapping) and isinstance(one, Mapping):
            _compare(one, other, of, field.message_type, "", lines)
        elif one != other:
            return False
        if lines:
            return False
    return True


def _is_part(field: FieldDescriptor) -> bool:
    """Return whether a field is one message whose fields are written apart, and no well-known one as a duration is."""
    part = field.message_type
    return part is not None and not field.is_repeated and not part.full_name.startswith("google.protobuf.")


def _plain(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _shown(value: Any) -> str:
    text = "-" if value in (None, [], {}) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _resources(path: Path) -> Iterator[Resource]:
    root = composed(path, _WHAT, "FILE", max_chars=MAX_CHARS, reason=REASON)
    if root is None:
        return
    try:
        _check(root, path, [MAX_NODES])
    except RecursionError:  # an anchor that is within itself
        raise _wrong(path.name, "it is nested too deeply") from None
    for section, body in _entries(root, path, "the file"):
        kind = _BY_SECTION.get(str(section.value))
        if kind is None:
            told = f"'{section.value}' is not known here; known: {', '.join(_BY_SECTION)}"
            raise _wrong(f"{path.name}:{line_of(section)}", told)
        for key, fields in _entries(body, path, kind.section):
            place, stated = f"{path.name}:{line_of(key)}", _value(fields, path)
            if not isinstance(stated, dict):
                raise _wrong(place, f"{kind.section}.{key.value} must be fields with values")
            for field in stated:
                if field in kind.fixed:
                    raise _wrong(place, f"{kind.section}.{key.value}.{field} is for the service to say")
            yield Resource(kind, str(key.value), stated, place)


def _entries(node: yaml.Node, path: Path, what: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(f"{path.name}:{line_of(node)}", f"{what} must be names with what belongs to them")
    yield from node.value


def _check(node: yaml.Node, path: Path, left: list[int]) -> None:
    """Refuse what is there twice, keys that are no words, and anchors that multiply."""
    left[0] -= 1
    if left[0] < 0:
        raise _wrong(path.name, f"it has more than {MAX_NODES:,} values, those of repeated anchors counted each time")
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check(item, path, left)
    elif isinstance(node, yaml.MappingNode):
        known: set[str] = set()
        for key, value in node.value:
            place = f"{path.name}:{line_of(key)}"
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(place, "a name must be one word")
            if key.value in known:
                raise _wrong(place, f"'{key.value}' is there twice")
            known.add(key.value)
            _check(value, path, left)


def _value(node: yaml.Node, path: Path) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _value(value, path) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, path) for item in node.value]
    kind = node.tag.removeprefix(_YAML)
    if kind in _TEXTS:
        return str(node.value)
    if kind in _VALUES:
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (ValueError, LookupError, yaml.YAMLError):
            pass  # "!!int x", and numbers of thousands of digits
    raise _wrong(f"{path.name}:{line_of(node)}", f"a value is not the {kind[:40]} that it says it is")


def _wrong(place: str, told: str) -> InvalidArgument:
    return InvalidArgument(f"{place}: {told}", reason=REASON)


def _said(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else "is nested too deeply"
