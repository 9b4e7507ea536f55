"""Blobs in an S3 bucket, under `blobs/sha256/<hex>`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from headrace_runtime.artifacts.cache import ArtifactError
from headrace_runtime.artifacts.place import read_credentials

CHUNK_BYTES = 256 * 1024


class S3Blobs:
    """Blobs of one bucket."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        try:
            answer = await self._client.get_object(Bucket=self._bucket, Key=f"blobs/sha256/{sha256}")
            body: Any = answer["Body"]
            async with body:
                while chunk := await body.read(CHUNK_BYTES):
                    yield chunk
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown error")
            raise ArtifactError(f"blob {sha256} cannot be read from S3: {code}") from None
        except Exception as error:  # of the connection, or of what came over it: it ends this download only
            raise ArtifactError(f"S3 does not answer: {type(error).__name__}") from None


@asynccontextmanager
async def s3_blobs(
    endpoint: str | None, bucket: str, region: str, credentials_file: Path | None
) -> AsyncIterator[S3Blobs]:
    """Open a client for a bucket. Without a credentials file, the environment's credentials are used (IAM roles)."""
    config = AioConfig(
        connect_timeout=3,
        read_timeout=10,
        retries={"total_max_attempts": 3, "mode": "standard"},
        s3={"addressing_style": "path"},
    )
    keys: dict[str, Any] = {} if credentials_file is None else read_credentials(credentials_file)
    # Its own types do not say that it is a context manager.
    session: Any = aioboto3.Session(region_name=region, **keys)
    async with session.client("s3", endpoint_url=endpoint, config=config) as client:
        yield S3Blobs(client, bucket)
