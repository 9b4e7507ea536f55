"""Server reflection, v1 and v1alpha: what `grpcurl list` and `describe` read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

_ALPHA = "grpc.reflection.v1alpha"
_V1 = "grpc.reflection.v1"


class Reflection:
    """Shows a given descriptor set, or else the services registered by `add`; health and reflection itself always."""

    def __init__(self, descriptors: descriptor_pb2.FileDescriptorSet | None = None) -> None:
        self._fixed = descriptors is not None
        self._files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
        for file in () if descriptors is None else descriptors.file:
            self._files.setdefault(file.name, file)
        self._names = {f"{file.package}.{service.name}" for file in self._files.values() for service in file.service}
        # With the details of errors, so that callers such as grpcurl can show them.
        for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR):
            self._include(file)
        self._include_v1()
        self._servicer: Any = None

    def add(self, service: str) -> None:
        """Show a registered service that has a descriptor; a given descriptor set stays as it is."""
        if self._fixed:
            return
        try:
            file = descriptor_pool.Default().FindServiceByName(service).file
        except KeyError:
            return
        self._include(file, only=(service,))

    def services(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield name and method handlers of both versions. Their messages are the same on the wire: one set does."""
        handler = grpc.stream_stream_rpc_method_handler(
            self._info,
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        for package in (_V1, _ALPHA):
            yield f"{package}.ServerReflection", {"ServerReflectionInfo": handler}

    async def _info(self, requests: Any, context: Any) -> Any:
        if self._servicer is None:  # made at the first question, when every service has been added
            self._servicer = reflection.aio.ReflectionServicer(self._names, _pool(self._files))
        async for response in self._servicer.ServerReflectionInfo(requests, context):
            yield response

    def _include(self, file: Any, only: Iterable[str] | None = None) -> None:
        self._names.update(only or (service.full_name for service in file.services_by_name.values()))
        self._include_file(file)

    def _include_file(self, file: Any) -> None:
        if file.name in self._files:
            return
        for dependency in file.dependencies:
            self._include_file(dependency)
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        self._files[file.name] = proto

    def _include_v1(self) -> None:
        """Describe version 1, which the wheel does not have: v1alpha under its later name."""
        renamed = descriptor_pb2.FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(renamed)
        renamed.name, renamed.package = "grpc/reflection/v1/reflection.proto", _V1
        for message in renamed.message_type:
            for field in message.field:
                if field.type_name:
                    field.type_name = field.type_name.replace(f".{_ALPHA}.", f".{_V1}.")
        for service in renamed.service:
            for method in service.method:
                method.input_type = method.input_type.replace(f".{_ALPHA}.", f".{_V1}.")
                method.output_type = method.output_type.replace(f".{_ALPHA}.", f".{_V1}.")
        self._files.setdefault(renamed.name, renamed)
        self._names.add(f"{_V1}.ServerReflection")


def _pool(files: dict[str, descriptor_pb2.FileDescriptorProto]) -> descriptor_pool.DescriptorPool:
    """Return a pool of the files, each added after what it imports."""
    pool, added = descriptor_pool.DescriptorPool(), set[str]()

    def add(name: str) -> None:
        if name in added:
            return
        added.add(name)
        file = files[name]
        for dependency in file.dependency:
            add(dependency)
        pool.Add(file)

    for name in files:
        add(name)
    return pool
