"""A copy of a version, as a model that no caller knows: a measurement changes its settings and loads it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.registry.v1 import registry_pb2
from headrace_client import Variant, Version
from headrace_client.callers import Group, Kind, Method
from headrace_client.calls import Operation, Session, invoke
from headrace_client.cli.settings import serving_batchers
from headrace_client.client import Client

_TIMEOUT_S = 60.0
# Of a name of 63 characters, what is left before `-tune-` and six digits.
_MOST_CHARS = 51


@contextmanager
def copy_of(client: Client, model: str, version: registry_pb2.ModelVersion) -> Iterator[str]:
    """Yield the name of a model with a copy of a version, served by the same pool; it is deleted at the end."""
    id_ = version.name.rpartition("/")[2]
    pool = next((batcher.pool for batcher, _ in serving_batchers(client, model, id_)), "")
    name = f"{model[:_MOST_CHARS].rstrip('-')}-tune-{uuid.uuid4().hex[:6]}"
    client.models.create(name, description=f"copy of {model}@{id_} that `headrace models tune` measures and deletes")
    try:
        client.models.set_gates(name, [])  # with gates the version could not have all traffic before it is promoted
        _Copies(client).register(version, name)
        client.routes.split(name, [Variant("copy", Version(id_), 1.0, pool)])
        yield name
    finally:
        client.models.delete(name, with_route=True)


def _register_copy(session: Session, version: registry_pb2.ModelVersion, model: str) -> Operation[None]:
    """Register the files of a version, which are stored, as a version of another model."""
    copy = registry_pb2.ModelVersion(
        name=f"models/{model}/versions/{version.name.rpartition('/')[2]}",
        contract=version.contract,
        serving=version.serving,
        artifacts=version.artifacts,
        format=version.format,
        pipeline=version.pipeline if version.HasField("pipeline") else None,
    )
    request = registry_pb2.CreateModelVersionRequest(version=copy, request_id=str(uuid.uuid4()), skip_trial=True)
    yield from invoke(session, registry_pb2.CreateModelVersionResponse, request, timeout_s=_TIMEOUT_S)


class _Copies(Group[Kind]):
    register = Method(_register_copy)
