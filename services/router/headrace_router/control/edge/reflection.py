"""What reflection shows to callers from outside: every public service of ours, and the Open Inference Protocol's."""

from __future__ import annotations

from importlib import resources
from typing import Any

import headrace
from google.protobuf import descriptor_pb2
from headrace.access.v1 import access_pb2
from tritonclient.grpc import model_config_pb2, service_pb2

DESCRIPTORS = "descriptors.binpb"
_ACCESS: Any = access_pb2.access


def committed_descriptors() -> descriptor_pb2.FileDescriptorSet:
    """Return the descriptor set that is generated from the protos, with imports and comments."""
    content = resources.files(headrace).joinpath(DESCRIPTORS).read_bytes()
    return descriptor_pb2.FileDescriptorSet.FromString(content)


def with_inference(descriptors: descriptor_pb2.FileDescriptorSet) -> descriptor_pb2.FileDescriptorSet:
    """Return the set with the files of `inference.GRPCInferenceService`, served here and declared elsewhere."""
    files = descriptor_pb2.FileDescriptorSet()
    files.CopyFrom(descriptors)
    for file in (model_config_pb2.DESCRIPTOR, service_pb2.DESCRIPTOR):
        file.CopyToProto(files.file.add())
    return files


def public_descriptors(descriptors: descriptor_pb2.FileDescriptorSet) -> descriptor_pb2.FileDescriptorSet:
    """Return the files of the services that can be called from outside, and what they import.

    Internal methods are left out, services that have no others are left out whole, and so is every file that only they
    need.
    """
    files = {file.name: _without_internal_methods(file) for file in descriptors.file}
    public = descriptor_pb2.FileDescriptorSet()
    shown: set[str] = set()

    def show(name: str) -> None:
        if name in shown:
            return
        shown.add(name)
        for dependency in files[name].dependency:
            show(dependency)
        public.file.append(files[name])

    for file in files.values():
        if file.service:
            show(file.name)
    return public


def _without_internal_methods(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    kept = descriptor_pb2.FileDescriptorProto()
    kept.CopyFrom(file)
    removed = False
    for service in list(kept.service):
        for method in list(service.method):
            access: Any = method.options.Extensions[_ACCESS]
            if access.internal:
                service.method.remove(method)
                removed = True
        if not service.method:
            kept.service.remove(service)
    if removed:
        kept.ClearField("source_code_info")  # its paths count the methods that are gone
    return kept
