"""The tables by which the front door refuses JSON fields that a request message does not have.

Envoy's transcoder drops them without a word; `lua/strict_json.lua` walks the body with these tables before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from google.protobuf import descriptor_pb2

from front_door.api import Api, FileSet, Method, RestBinding
from front_door.shapes import lua_value

Field = descriptor_pb2.FieldDescriptorProto
Message = descriptor_pb2.DescriptorProto

SCRIPTS = tuple(Path(__file__).with_name("lua") / name for name in ("json.lua", "strict_json.lua"))

# What a field holds that is not looked into: scalars, and messages with a JSON form of their own.
OPAQUE = ""


def script(api: Api) -> str:
    """Return the whole Lua script: tables, then code."""
    messages = _messages(api.files)
    bindings = [
        (binding.verb, lua_pattern(binding.template), _body_message(messages, method, binding))
        for method in api.public
        for binding in method.rest
    ]
    reachable = _reachable(messages, (body for _, _, body in bindings if body))
    generated = f"local MESSAGES = {lua_value(reachable)}\nlocal BINDINGS = {lua_value(bindings)}"
    return "\n\n".join((generated, *(script.read_text() for script in SCRIPTS)))


def lua_pattern(template: str) -> str:
    """Return the Lua pattern of the paths that a `google.api.http` template matches.

    `/v1/{name=models/*}:rollback` gives `^/v1/models/[^/:]+:rollback$`: a colon begins a verb, names have none.
    """
    plain = re.sub(r"\{[^=}]+=([^}]*)\}", r"\1", template)
    plain = re.sub(r"\{[^}]*\}", "*", plain)
    escaped = re.sub(r"[-.+?%()\[\]^$]", r"%\g<0>", plain)
    return "^" + escaped.replace("**", ".+").replace("*", "[^/:]+") + "$"


def _messages(files: FileSet) -> dict[str, Message]:
    found: dict[str, Message] = {}

    def add(prefix: str, message: Message) -> None:
        name = f"{prefix}.{message.name}"
        found[name] = message
        for nested in message.nested_type:
            add(name, nested)

    for file in files.file:
        for message in file.message_type:
            add(file.package, message)
    return found


def _body_message(messages: Mapping[str, Message], method: Method, binding: RestBinding) -> str:
    """Return the message that the body must be, empty when the binding takes no body or not a message."""
    if binding.body == "*":
        return method.request
    return next(
        (_kind(messages, field) for field in messages[method.request].field if field.name == binding.body), OPAQUE
    )


def _reachable(messages: Mapping[str, Message], roots: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the fields, under both of their JSON names, of the roots and of all messages within them."""
    tables: dict[str, dict[str, str]] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in tables:
            continue
        tables[name] = {}
        for field in messages[name].field:
            kind = _kind(messages, field)
            tables[name][field.name] = tables[name][field.json_name] = kind
            if kind:
                waiting.append(kind.removeprefix("map "))
    return tables


def _kind(messages: Mapping[str, Message], field: Field) -> str:
    if field.type != Field.TYPE_MESSAGE:
        return OPAQUE
    name = field.type_name.lstrip(".")
    if messages[name].options.map_entry:
        value = _kind(messages, messages[name].field[1])
        return f"map {value}" if value else OPAQUE
    return OPAQUE if name.startswith("google.protobuf.") else name
