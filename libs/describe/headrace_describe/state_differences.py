"""What a resource becomes that a file describes, and what of it is otherwise now. What is not stated stays. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from headrace.registry.v1 import registry_pb2
from headrace_client.cli.views import gate

from headrace_describe.state_files import Resource, wrong

_GATE = registry_pb2.PromotionGate.DESCRIPTOR


def wanted(resource: Resource, present: Message | None) -> Message:
    """Return a resource with what its file states in the place of what there is. Raises InvalidArgument."""
    stated = resource.kind.message()
    _check_names(resource.stated, stated.DESCRIPTOR, f"{resource.kind.section}.{resource.id}", resource.place)
    try:
        json_format.ParseDict(dict(resource.stated), stated)
    except (json_format.ParseError, RecursionError) as error:
        raise wrong(resource.place, f"{resource.kind.section}.{resource.id}: {_said(error)}") from None
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
    """Refuse fields that a message, or one within it, does not have: files know one spelling alone."""
    fields: Mapping[str, Any] = descriptor.fields_by_name
    for key, value in written.items():
        field = fields.get(key)
        if field is None:
            raise wrong(place, f"{path}.{key} is not known here; known: {', '.join(fields)}")
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
            shown = _gates if field.message_type is _GATE else _shown
            lines.append(f"{at}: {shown(was)} -> {shown(will)}")


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


def _gates(value: Any) -> str:
    return _shown(
        ", ".join(gate(json_format.ParseDict(one, registry_pb2.PromotionGate())) for one in value or ()) or None
    )


def _shown(value: Any) -> str:
    text = "-" if value in (None, [], {}) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _said(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else "is nested too deeply"
