"""Reference files of versions, fetched from the registry's bucket by their SHA-256, as batchers fetch models."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import ClientError
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import NotFound, PreconditionFailed, Unavailable
from headrace_servicekit.s3 import READ_CALL_S, Bucket, Place, http_status

READ_BYTES = 256 * 1024
REFERENCE = "reference.parquet"
# A sample of the training data says as much as all of it.
MAX_BYTES = 128 * 1024 * 1024
RETRY_AFTER_S = 1.0
DAMAGED = "ARTIFACT_DAMAGED"


class Blobs(Protocol):
    """Where the registry keeps files."""

    def read(self, sha256: str, /) -> AsyncIterator[bytes]:
        """Yield the bytes of a file. Raises Unavailable, and NotFound where there is none."""
        ...


def reference_of(version: registry_pb2.ModelVersion) -> registry_pb2.Artifact | None:
    """Return the reference file that a version was registered with."""
    for artifact in version.artifacts:
        if artifact.name == REFERENCE and artifact.type == registry_pb2.Artifact.TYPE_PARQUET:
            return artifact
    return None


async def fetch(blobs: Blobs, artifact: registry_pb2.Artifact, path: Path) -> None:
    """Write an artifact to a new file. Raises PreconditionFailed for one that is too large, Unavailable, NotFound."""
    if artifact.size_bytes > MAX_BYTES:
        raise PreconditionFailed(
            f"{REFERENCE} has {artifact.size_bytes} bytes, and at most {MAX_BYTES} are read: "
            "register a version with a sample of the rows, or freeze a time of the log",
            reason="REFERENCE_UNREADABLE",
        )
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        async for chunk in blobs.read(artifact.sha256):
            size += len(chunk)
            if size > MAX_BYTES:
                break
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != artifact.sha256:
        raise Unavailable(
            f"{REFERENCE} arrived damaged: its SHA-256 is {digest.hexdigest()}",
            reason=DAMAGED,
            retry_after_s=RETRY_AFTER_S,
        )


class RegistryBlobs:
    """Files of the registry. Opening it needs no server; the bucket is the registry's, and never made here."""

    def __init__(self, place: Place) -> None:
        self._bucket = Bucket(place, owner="artifact store (S3)", reason="ARTIFACT_STORE_UNAVAILABLE")

    async def __aenter__(self) -> RegistryBlobs:
        await self._bucket.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._bucket.__aexit__(*exception)

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        """Yield the bytes of a file. Raises NotFound, reason ARTIFACT_NOT_FOUND; Unavailable."""
        async with self._bucket.bounded(READ_CALL_S):
            try:
                answer = await self._bucket.client.get_object(Bucket=self._bucket.name, Key=f"blobs/sha256/{sha256}")
            except ClientError as error:
                if http_status(error) == 404:
                    description = f"the file with SHA-256 {sha256} was removed"
                    raise NotFound(description, reason="ARTIFACT_NOT_FOUND") from None
                raise
        body: Any = answer["Body"]
        async with body:
            while True:
                async with self._bucket.bounded(READ_CALL_S):
                    chunk = await body.read(READ_BYTES)
                if not chunk:
                    return
                yield chunk
