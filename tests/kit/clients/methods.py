"""Every public method of the API, as its protos declare it, and the smallest calls that are about a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import headrace
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from headrace.access.v1 import access_pb2

# The generated types of these options are not what Extensions asks for.
_ACCESS: Any = access_pb2.access
_HTTP: Any = annotations_pb2.http


def _services() -> Iterator[ServiceDescriptor]:
    """Yield every service of the parts that are in this checkout."""
    for folder in headrace.__path__:
        for stub in sorted(Path(folder).glob("*/v1/*_pb2.py")):
            part = stub.relative_to(folder).with_suffix("").parts
            yield from import_module(".".join(("headrace", *part))).DESCRIPTOR.services_by_name.values()


METHODS: dict[str, MethodDescriptor] = {
    method.name: method
    for service in _services()
    for method in service.methods
    if not (method.GetOptions().Extensions[_ACCESS].internal or method.GetOptions().deprecated)
}
"""Public methods by their name; no two services share one, but for the deprecated ones, which are left out."""

OF_A_MODEL = [name for name, method in METHODS.items() if method.GetOptions().Extensions[_ACCESS].model_field]
BY_REST = [name for name, method in METHODS.items() if method.GetOptions().HasExtension(_HTTP)]


def path_of(name: str) -> str:
    """Return the gRPC path of a method."""
    method = METHODS[name]
    return f"/{method.containing_service.full_name}/{method.name}"


def scope_of(name: str) -> str:
    """Return the scope that a method needs."""
    return METHODS[name].GetOptions().Extensions[_ACCESS].scope


def names_model_in_path(name: str) -> bool:
    """Return whether the REST path of a method names a model."""
    field = METHODS[name].GetOptions().Extensions[_ACCESS].model_field
    return name in BY_REST and f"{{{field}=" in _template(name)[1]


def message_about(name: str, model: str) -> bytes:
    """Return a message of a method that names a model and is empty otherwise."""
    method = METHODS[name]
    field = method.GetOptions().Extensions[_ACCESS].model_field
    found = re.search(rf"{{{re.escape(field)}=([^}}]*)}}", _template(name)[1] if name in BY_REST else "")
    pattern = found.group(1) if found else "models/*" if field.endswith(".name") else "*"
    message: Any = GetMessageClass(method.input_type)()
    *outer, last = field.split(".")
    inner = message
    for part in outer:
        inner = getattr(inner, part)
    setattr(inner, last, _filled(pattern, model))
    return message.SerializeToString()


def rest_about(name: str, model: str) -> tuple[str, str]:
    """Return verb and path of a REST call about a model."""
    verb, template = _template(name)
    return verb, re.sub(r"{[^=}]*=([^}]*)}", lambda found: _filled(found.group(1), model), template)


def _template(name: str) -> tuple[str, str]:
    binding = METHODS[name].GetOptions().Extensions[_HTTP]
    verb = binding.WhichOneof("pattern")
    return verb.upper(), getattr(binding, verb)


def _filled(pattern: str, model: str) -> str:
    return pattern.replace("*", model, 1).replace("*", "v1")
