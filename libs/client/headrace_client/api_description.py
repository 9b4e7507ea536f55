"""What the API's own descriptors say of it: which services there are for callers, and which scopes they ask for."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import headrace
from google.protobuf import descriptor_pb2
from headrace.access.v1 import access_pb2


@functools.cache
def public_services() -> dict[str, frozenset[str]]:
    """Return the full names of the services that callers reach, each with the scopes that its RPCs ask for."""
    api = resources.files(headrace).joinpath("descriptors.binpb").read_bytes()
    # An option is read as what it is only where the file that declares it was imported.
    access: Any = access_pb2.access
    scopes = {
        f"{file.package}.{service.name}": frozenset(
            scope for method in service.method if (scope := method.options.Extensions[access].scope)
        )
        for file in descriptor_pb2.FileDescriptorSet.FromString(api).file
        for service in file.service
    }
    return {service: asked for service, asked in scopes.items() if asked}
