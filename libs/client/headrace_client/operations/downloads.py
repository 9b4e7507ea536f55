"""Files of versions, read back from the registry."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from headrace.registry.v1 import registry_pb2

from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import NotFound, Unavailable
from headrace_client.operations.models import get_version

DOWNLOAD_TIMEOUT_S = 600.0


def download_artifact(
    session: Session,
    model: str,
    version: str,
    artifact: str,
    path: Path | str,
    *,
    timeout: float = DOWNLOAD_TIMEOUT_S,
) -> Operation[registry_pb2.Artifact]:
    """Write one file of a version to a path, and return what the version says of it.

    Raises NotFound for a file that the version does not have, Unavailable where what arrived has another SHA-256.
    """
    found = yield from get_version(session, model, version)
    wanted = next((one for one in found.artifacts if one.name == artifact), None)
    if wanted is None:
        raise NotFound(
            f"version '{version}' of '{model}' has no file '{artifact}'; it has: "
            + ", ".join(one.name for one in found.artifacts),
            reason="ARTIFACT_NOT_FOUND",
        )
    request = registry_pb2.DownloadArtifactRequest(name=found.name, artifact=artifact)
    with Path(path).open("wb") as file:
        digests: list[Any] = []
        yield from invoke(
            session,
            registry_pb2.DownloadArtifactResponse,
            request,
            timeout_s=timeout,
            listen=lambda: _taking(file, digests),
        )
    if not digests or digests[-1].hexdigest() != wanted.sha256:
        raise Unavailable(f"'{artifact}' arrived with other bytes than it was stored with: try again")
    return wanted


def _taking(file: BinaryIO, digests: list[Any]) -> Callable[[registry_pb2.DownloadArtifactResponse], None]:
    """Return the receiver of one try's pieces: each try truncates the file."""
    file.seek(0)
    file.truncate()
    digest = hashlib.sha256()
    digests.append(digest)

    def take(piece: registry_pb2.DownloadArtifactResponse) -> None:
        file.write(piece.chunk)
        digest.update(piece.chunk)

    return take
