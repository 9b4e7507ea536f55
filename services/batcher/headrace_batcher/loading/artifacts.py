"""Model files: read from S3 by their SHA-256, verified, and kept on disk up to a bound."""

from __future__ import annotations

import asyncio
import configparser
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

CHUNK_BYTES = 256 * 1024
# While callers are served, fetching pauses after each chunk for this many times what it took of the event loop.
PAUSES = 2.0
_PARTIAL = ".partial"


class ArtifactError(Exception):
    """A file cannot be had; the message is shown to operators."""


class Blobs(Protocol):
    """Where files are read from by their SHA-256."""

    def read(self, sha256: str, /) -> AsyncIterator[bytes]:
        """Yield the bytes. Raises ArtifactError."""
        ...


class S3Blobs:
    """Blobs in an S3 bucket under `blobs/sha256/<hex>`."""

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
        except (BotoCoreError, OSError, TimeoutError) as error:
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
    # Made once: building a client reads megabytes of descriptions, which is no work for a serving event loop. Its own
    # types do not say that it is a context manager.
    session: Any = aioboto3.Session(region_name=region, **keys)
    async with session.client("s3", endpoint_url=endpoint, config=config) as client:
        yield S3Blobs(client, bucket)


def read_credentials(path: Path) -> dict[str, str]:
    """Return the keys of the profile `default` of an AWS shared-credentials file. Raises OSError, KeyError."""
    parsed = configparser.ConfigParser(interpolation=None)
    with path.open(encoding="utf-8") as file:
        parsed.read_file(file)
    profile = parsed["default"]
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return {name: profile[name] for name in names if name in profile}


class BlobCache:
    """Verified files on disk.

    max_bytes: bounds those that nothing wants any more. in_thread: runs what blocks. serving: whether callers are being
    answered, so that fetching must not take the event loop from them.
    """

    def __init__(
        self,
        root: Path,
        blobs: Blobs,
        *,
        max_bytes: int,
        fetch_timeout_s: float,
        in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread,
        serving: Callable[[], bool] = lambda: False,
    ) -> None:
        self._root = root
        self._blobs = blobs
        self._max_bytes = max_bytes
        self._fetch_timeout_s = fetch_timeout_s
        self._in_thread = in_thread
        self._serving = serving

    async def fetch(self, sha256: str) -> Path:
        """Return the path of a verified file, downloaded when it is not here. Raises ArtifactError."""
        path = self._root / sha256
        if await self._in_thread(_is_whole, path, sha256):
            return path
        try:
            async with asyncio.timeout(self._fetch_timeout_s):
                await self._download(sha256, path)
        except TimeoutError:
            raise ArtifactError(f"blob {sha256} did not arrive within {self._fetch_timeout_s:g} s") from None
        except OSError as error:
            raise ArtifactError(f"blob {sha256} cannot be kept on disk: {error.strerror}") from None
        return path

    async def tidy(self, wanted: Collection[str]) -> None:
        """Remove the files unused for longest until the unwanted ones fit their bound."""
        await self._in_thread(_evict, self._root, frozenset(wanted), self._max_bytes)

    async def _download(self, sha256: str, path: Path) -> None:
        partial = path.with_name(sha256 + _PARTIAL)
        digest = hashlib.sha256()
        self._root.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                used_s = time.thread_time()
                async for chunk in self._blobs.read(sha256):
                    await self._in_thread(_take, file, digest, chunk)
                    if self._serving():
                        await asyncio.sleep(PAUSES * (time.thread_time() - used_s))
                    used_s = time.thread_time()
            if digest.hexdigest() != sha256:
                raise ArtifactError(f"blob {sha256} has the SHA-256 {digest.hexdigest()}: it is damaged")
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)


def _take(file: BinaryIO, digest: Any, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)


def _is_whole(path: Path, sha256: str) -> bool:
    """Return whether a file is there with the bytes that it should have; one that is damaged is removed."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    if found != sha256:
        path.unlink()
        return False
    os.utime(path)
    return True


def _evict(root: Path, wanted: frozenset[str], max_bytes: int) -> None:
    if not root.is_dir():
        return
    unwanted = [(path.stat(), path) for path in root.iterdir() if path.name not in wanted and path.suffix != _PARTIAL]
    total = sum(status.st_size for status, _ in unwanted)
    for status, path in sorted(unwanted, key=lambda entry: entry[0].st_mtime):
        if total <= max_bytes:
            return
        path.unlink(missing_ok=True)
        total -= status.st_size
