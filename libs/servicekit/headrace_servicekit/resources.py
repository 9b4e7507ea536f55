"""Plain resources: declared once, and served by the RPCs that the proto has for them.

    WEBHOOK = Kind(webhook_pb2.Webhook, "toyWebhooks/{webhook}", webhook_of, to_webhook)
    serve_kind(servicer, toy_pb2.DESCRIPTOR.services_by_name["ToyService"], WEBHOOK, webhooks)

The descriptors say which RPC writes (it takes one and returns one), lists (it returns many) and deletes (its REST path
is the pattern). What decides stays in the use cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from google.api import annotations_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from headrace_servicekit.identity import Identity, identity
from headrace_servicekit.resource_names import ids

Value = TypeVar("Value")
_HTTP: Any = annotations_pb2.http
_OPTIONS = {"validate_only"}


@dataclass(frozen=True, slots=True)
class Kind(Generic[Value]):
    """message: of the API. pattern: of its names, such as `silences/{number}`. value_of: raises InvalidArgument."""

    message: type[Message]
    pattern: str
    value_of: Callable[[Any], Value]
    message_of: Callable[[Value], Message]


class UseCases(Protocol[Value]):
    """What callers may do with the resources of a kind."""

    async def put(self, one: Value, caller: Identity, /) -> Value:
        """Write one; return it as it is stored. Where the request has `validate_only` it is a keyword of this too."""
        ...

    async def list(self, caller: Identity, /) -> Sequence[Value]:
        """Return those that a caller may see."""
        ...

    async def delete(self, key: str, caller: Identity, /) -> None:
        """Remove one, by what its name has in the place of `{…}`. Repeating it is safe."""
        ...


def serve_kind(servicer: object, service: ServiceDescriptor, kind: Kind[Value], use_cases: UseCases[Value]) -> None:
    """Give a servicer the RPCs of a kind, before it is added to a server. Raises ValueError: an RPC is missing."""
    makers = {"put": _put, "list": _list, "delete": _delete}
    found = {role: method for method in service.methods if (role := _role(method, kind))}
    if found.keys() != makers.keys():
        raise ValueError(f"{service.full_name} has of {kind.pattern} only: {', '.join(sorted(found)) or 'nothing'}")
    for role, method in found.items():
        setattr(servicer, method.name, makers[role](method, kind, use_cases))


def _role(method: MethodDescriptor, kind: Kind[Any]) -> str:
    one, many = _fields(method.output_type, kind)
    if method.server_streaming:
        return ""
    if one and _fields(method.input_type, kind)[0]:
        return "put"
    if many:
        return "list"
    path = method.GetOptions().Extensions[_HTTP].delete
    return "delete" if path.endswith(f"{{name={kind.pattern.partition('{')[0]}*}}") else ""


def _fields(message: Descriptor, kind: Kind[Any]) -> tuple[str, str]:
    """Return the field with one resource of a kind, and the field with many; empty where there is none."""
    of_kind = [one for one in message.fields if one.message_type is kind.message.DESCRIPTOR]
    names = [next((one.name for one in of_kind if one.is_repeated is many), "") for many in (False, True)]
    return names[0], names[1]


def _put(method: MethodDescriptor, kind: Kind[Value], use_cases: UseCases[Value]) -> Any:
    answer, field = message_factory.GetMessageClass(method.output_type), _fields(method.output_type, kind)[0]
    asked = _fields(method.input_type, kind)[0]
    known, use_case = _OPTIONS & set(method.input_type.fields_by_name), cast("Any", use_cases.put)

    async def put(request: Any, context: Any) -> Message:
        options = {one: getattr(request, one) for one in known}
        stored = await use_case(kind.value_of(getattr(request, asked)), identity(), **options)
        return answer(**{field: kind.message_of(stored)})

    return put


def _list(method: MethodDescriptor, kind: Kind[Value], use_cases: UseCases[Value]) -> Any:
    answer, field = message_factory.GetMessageClass(method.output_type), _fields(method.output_type, kind)[1]

    async def list_(request: Any, context: Any) -> Message:
        return answer(**{field: map(kind.message_of, await use_cases.list(identity()))})

    return list_


def _delete(method: MethodDescriptor, kind: Kind[Any], use_cases: UseCases[Any]) -> Any:
    answer = message_factory.GetMessageClass(method.output_type)

    async def delete(request: Any, context: Any) -> Message:
        (key,) = ids(request.name, "name", kind.pattern)
        await use_cases.delete(key, identity())
        return answer()

    return delete
