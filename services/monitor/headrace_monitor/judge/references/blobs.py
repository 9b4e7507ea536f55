"""The registry's files, read from its bucket by their SHA-256."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from botocore.exceptions import ClientError
from headrace_servicekit.errors import NotFound
from headrace_servicekit.s3 import READ_CALL_S, Bucket, Place, http_status

READ_BYTES = 256 * 1024


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
