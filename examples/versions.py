"""The examples' versions in the registry: registered once, and brought to where a story begins."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headrace.registry.v1 import registry_pb2
from headrace_client import Client, NotFound, PreconditionFailed


@dataclass(frozen=True, slots=True)
class Registered:
    """A version of ours in the registry. created: False when an earlier run had registered it."""

    version: str
    created: bool

    def __str__(self) -> str:
        return f"{self.version} registered" if self.created else f"{self.version} is there from an earlier run"


def register_once(client: Client, model: str, version: str, file: Path, create: Callable[[str], object]) -> Registered:
    """Register a file unless the registry has these very bytes; return under which version it is known.

    create: registers it under the name that it is given. Another library may export other bytes: then the name gets
    their digest, for versions never change.
    """
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    for name in (version, f"{version}-{sha256[:8]}"):
        known = _sha256_of(client, model, name)
        if known == sha256:
            return Registered(name, created=False)
        if known is None:
            create(name)
            return Registered(name, created=True)
    raise RuntimeError(f"the registry holds other bytes under both names of {version}")


def begin_with(client: Client, model: str, version: str) -> tuple[str, registry_pb2.Model]:
    """Make `version` the one in production; return how, in words, and the model. A later run rolls back to it."""
    try:
        present = client.models.get(model)
    except NotFound:
        present = registry_pb2.Model()
    if present.production_version == version:
        return f"{version} is in production", present
    if present.production_version:
        try:
            back = client.models.rollback(model, reason="demo: back to where the story begins")
        except PreconditionFailed:  # no earlier version: promotions from outside the demo
            back = None
        if back is not None and back.model.production_version == version:
            return f"rolled back to {version}", back.model
    promoted = client.models.promote(model, version, reason="demo: the first version")
    return f"promoted {version}", promoted.model


def _sha256_of(client: Client, model: str, version: str) -> str | None:
    """Return the digest of a version's model file, or None when there is no such version."""
    try:
        found = client.versions.get(model, version)
    except NotFound:
        return None
    return next(artifact.sha256 for artifact in found.artifacts if artifact.name == "model.onnx")
