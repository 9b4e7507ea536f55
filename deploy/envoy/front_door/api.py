"""What the front door must know of the API, read from the committed descriptor set: services, scopes, REST paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor
from google.rpc import error_details_pb2, status_pb2
from headrace.access.v1 import access_pb2

FileSet = descriptor_pb2.FileDescriptorSet


@dataclass(frozen=True, slots=True)
class RestBinding:
    """One REST binding of a method. body: `*` for the whole message, a field's name, or empty when there is none."""

    verb: str
    template: str
    body: str


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC. path: as gRPC callers send it, `/package.Service/Method`. request: full name of its request message."""

    path: str
    request: str
    scope: str
    internal: bool
    client_streaming: bool
    server_streaming: bool
    rest: tuple[RestBinding, ...]

    @property
    def service(self) -> str:
        return self.path.split("/")[1]

    @property
    def streaming(self) -> bool:
        return self.client_streaming or self.server_streaming


@dataclass(frozen=True, slots=True)
class Api:
    """Every method, in the order of the protos, and the files that declare them."""

    methods: tuple[Method, ...]
    files: FileSet

    @property
    def public(self) -> tuple[Method, ...]:
        """The methods that callers from outside may be given."""
        return tuple(method for method in self.methods if not method.internal)

    @property
    def public_services(self) -> tuple[str, ...]:
        """Full names of the services with a public method, each once."""
        return tuple(dict.fromkeys(method.service for method in self.public))


class ApiError(ValueError):
    """The descriptors declare something that the front door must not serve; the message names the RPC."""


def read_api(path: Path) -> Api:
    """Read a descriptor set that holds its imports."""
    return parse_api(FileSet.FromString(path.read_bytes()))


def parse_api(files: FileSet) -> Api:
    """Return the API of a descriptor set. Raises ApiError for an RPC that has neither a scope nor is internal."""
    methods = (
        _method(f"{file.package}.{service.name}", method)
        for file in files.file
        for service in file.service
        for method in service.method
    )
    return Api(tuple(methods), files)


def transcoder_files(files: FileSet) -> bytes:
    """Return the descriptor set for the transcoder: without comments, with the details that errors carry.

    An error whose detail types it does not know is answered without any.
    """
    out = FileSet()
    for file in files.file:
        kept = out.file.add()
        kept.CopyFrom(file)
        kept.ClearField("source_code_info")
    for module in (error_details_pb2, status_pb2):
        _add(out, module.DESCRIPTOR)
    return out.SerializeToString(deterministic=True)


def _add(files: FileSet, file: FileDescriptor) -> None:
    """Add a file behind what it imports, unless it is there."""
    if any(have.name == file.name for have in files.file):
        return
    for imported in file.dependencies:
        _add(files, imported)
    file.CopyToProto(files.file.add())


def _method(service: str, method: descriptor_pb2.MethodDescriptorProto) -> Method:
    path = f"/{service}/{method.name}"
    options: Any = method.options  # the stubs do not know that extensions are declared for it
    access = options.Extensions[access_pb2.access]
    if bool(access.scope) == access.internal:
        raise ApiError(f"{path}: needs an access option with either a scope or internal")
    return Method(
        path=path,
        request=method.input_type.lstrip("."),
        scope=access.scope,
        internal=access.internal,
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
        rest=_bindings(options.Extensions[annotations_pb2.http]),
    )


def _bindings(rule: HttpRule) -> tuple[RestBinding, ...]:
    verb = rule.WhichOneof("pattern")
    if verb is None:
        return ()
    if verb == "custom":
        own = RestBinding(rule.custom.kind, rule.custom.path, rule.body)
    else:
        own = RestBinding(verb.upper(), getattr(rule, verb), rule.body)
    return (own, *(binding for more in rule.additional_bindings for binding in _bindings(more)))
