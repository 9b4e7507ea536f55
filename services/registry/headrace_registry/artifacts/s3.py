"""Blobs in an S3 store. Every wait is bounded, and the store's absence is Unavailable."""

from __future__ import annotations

import asyncio
import configparser
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import aioboto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.runtime import StartError

from headrace_registry.artifacts.blobs import (
    BLOB_PREFIX,
    READ_BYTES,
    StoredBytes,
    UploadUrl,
    blob_key,
    staging_key,
)
from headrace_registry.names import is_sha256

log = structlog.get_logger()

SHORT_CALL_S = 5.0
# While it lasts, uploads of the same bytes wait for a lock in the database, which they do for 4 s.
REMOVE_CALL_S = 3.0
# For one part: at least 0.4 MiB/s.
PART_CALL_S = 20.0
PART_BYTES = 8 * 1024 * 1024
RETRY_AFTER_S = 1.0

_CONFIG = Config(
    connect_timeout=2,
    read_timeout=PART_CALL_S,
    retries={"max_attempts": 2, "mode": "standard"},
    # Path style: a store on one host has no name per bucket. Checksums: ours is the SHA-256 in the key, and not every
    # S3 understands trailing checksums.
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where blobs go. credentials_file: AWS shared credentials (INI), profile `default`.

    public_endpoint: URL of the same store as senders outside reach it; None when they do not.
    """

    endpoint: str
    name: str
    region: str
    credentials_file: Path | None = None
    public_endpoint: str | None = None


class S3Blobs:
    """Blobs in one bucket. Opening it needs no server."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._public_client: Any = None
        self._bucket_exists = False

    async def __aenter__(self) -> S3Blobs:
        session: Any = aioboto3.Session(**_keys(self._bucket.credentials_file), region_name=self._bucket.region)
        client = session.client("s3", endpoint_url=self._bucket.endpoint, config=_CONFIG)
        self._client = await self._stack.enter_async_context(client)
        if self._bucket.public_endpoint is not None:
            # Only signs: the host is part of what is signed.
            signing = _CONFIG.merge(Config(signature_version="s3v4"))
            public = session.client("s3", endpoint_url=self._bucket.public_endpoint, config=signing)
            self._public_client = await self._stack.enter_async_context(public)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def prepare(self) -> None:
        """Make the bucket, unless it is there."""
        if self._bucket_exists:
            return
        async with _bounded(SHORT_CALL_S):
            try:
                await self._client.head_bucket(Bucket=self._bucket.name)
            except ClientError as error:
                if _status(error) != 404:
                    raise
                await self._client.create_bucket(Bucket=self._bucket.name)
        self._bucket_exists = True

    async def check(self) -> None:
        await self.prepare()
        async with _bounded(SHORT_CALL_S):
            await self._client.head_bucket(Bucket=self._bucket.name)

    async def size(self, sha256: str) -> int | None:
        async with _bounded(SHORT_CALL_S):
            try:
                head = await self._client.head_object(Bucket=self._bucket.name, Key=blob_key(sha256))
            except ClientError as error:
                if _status(error) == 404:
                    return None
                raise
        return head["ContentLength"]

    async def put(self, sha256: str, file: Path, size_bytes: int) -> None:
        stored = await self.size(sha256)
        if stored == size_bytes:
            return
        # Never overwritten, unless what is there cannot be right: only we write under this key.
        condition = {} if stored is not None else {"IfNoneMatch": "*"}
        with await asyncio.to_thread(file.open, "rb") as opened:
            try:
                if size_bytes <= PART_BYTES:
                    await self._put_whole(sha256, opened, condition)
                else:
                    await self._put_parts(sha256, opened, condition)
            except ClientError as error:
                if _status(error) not in (409, 412):  # somebody else stored the same bytes first
                    raise _unavailable(error) from error

    async def remove(self, sha256: str) -> None:
        async with _bounded(REMOVE_CALL_S):
            await self._client.delete_object(Bucket=self._bucket.name, Key=blob_key(sha256))

    async def pages(self) -> AsyncIterator[list[StoredBytes]]:
        token: dict[str, str] = {}
        while True:
            async with _bounded(SHORT_CALL_S):
                listed = await self._client.list_objects_v2(Bucket=self._bucket.name, Prefix=BLOB_PREFIX, **token)
            found = listed.get("Contents", ())
            yield [
                StoredBytes(sha256, item["Size"], item["LastModified"])
                for item in found
                # Whatever else somebody has put there is not ours to remove.
                if is_sha256(sha256 := item["Key"].removeprefix(BLOB_PREFIX))
            ]
            if not listed.get("IsTruncated"):
                return
            token = {"ContinuationToken": listed["NextContinuationToken"]}

    def read(self, sha256: str) -> AsyncIterator[bytes]:
        return self._read(blob_key(sha256))

    async def upload_url(self, upload: UUID, size_bytes: int, ttl: timedelta) -> UploadUrl | None:
        if self._public_client is None:
            return None
        await self.prepare()
        place = {"Bucket": self._bucket.name, "Key": staging_key(upload), "ContentLength": size_bytes}
        async with _bounded(SHORT_CALL_S):
            url = await self._public_client.generate_presigned_url(
                "put_object", Params=place, ExpiresIn=int(ttl.total_seconds())
            )
        # It is part of what is signed: the store refuses more, and less.
        return UploadUrl(url, {"content-length": str(size_bytes)})

    def read_staged(self, upload: UUID) -> AsyncIterator[bytes]:
        return self._read(staging_key(upload))

    async def remove_staged(self, upload: UUID) -> None:
        async with _bounded(SHORT_CALL_S):
            await self._client.delete_object(Bucket=self._bucket.name, Key=staging_key(upload))

    async def abort_abandoned(self, before: datetime) -> int:
        """Drop the parts of uploads begun before that time by a process that died; return how many uploads."""
        dropped = 0
        async with _bounded(SHORT_CALL_S):
            listed = await self._client.list_multipart_uploads(Bucket=self._bucket.name, Prefix=blob_key(""))
            for upload in listed.get("Uploads", ()):
                if upload["Initiated"] < before:
                    await self._abort(upload["Key"], upload["UploadId"])
                    dropped += 1
        return dropped

    async def _read(self, key: str) -> AsyncIterator[bytes]:
        async with _bounded(SHORT_CALL_S):
            try:
                answer = await self._client.get_object(Bucket=self._bucket.name, Key=key)
            except ClientError as error:
                if _status(error) == 404:
                    raise LookupError(key) from None
                raise
        body = answer["Body"]
        # Entering yields what it wraps, which reads differently; it is only entered to be closed.
        async with body:
            while True:
                async with _bounded(PART_CALL_S):
                    piece = await body.read(READ_BYTES)
                if not piece:
                    return
                yield piece

    async def _put_whole(self, sha256: str, opened: BinaryIO, condition: dict[str, str]) -> None:
        body = await asyncio.to_thread(opened.read)
        async with _bounded(PART_CALL_S, keep=ClientError):
            await self._client.put_object(Bucket=self._bucket.name, Key=blob_key(sha256), Body=body, **condition)

    async def _put_parts(self, sha256: str, opened: BinaryIO, condition: dict[str, str]) -> None:
        place = {"Bucket": self._bucket.name, "Key": blob_key(sha256)}
        async with _bounded(SHORT_CALL_S):
            upload = (await self._client.create_multipart_upload(**place))["UploadId"]
        try:
            parts: list[dict[str, Any]] = []
            while body := await asyncio.to_thread(opened.read, PART_BYTES):
                number = len(parts) + 1
                async with _bounded(PART_CALL_S):
                    part = await self._client.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
            # The store joins the parts now, which takes longer the more there are.
            async with _bounded(PART_CALL_S + 0.1 * len(parts), keep=ClientError):
                await self._client.complete_multipart_upload(
                    **place, UploadId=upload, MultipartUpload={"Parts": parts}, **condition
                )
        except BaseException:
            await self._abort_quietly(place["Key"], upload)
            raise

    async def _abort(self, key: str, upload: str) -> None:
        await self._client.abort_multipart_upload(Bucket=self._bucket.name, Key=key, UploadId=upload)

    async def _abort_quietly(self, key: str, upload: str) -> None:
        """Drop the parts; what cannot be dropped now is dropped by `abort_abandoned`."""
        try:
            async with _bounded(SHORT_CALL_S):
                await self._abort(key, upload)
        except Unavailable:
            log.warning("upload left behind", key=key)


def _keys(file: Path | None) -> dict[str, str]:
    """Return the access keys in a shared credentials file; without one, the SDK looks where it always does."""
    if file is None:
        return {}
    parser = configparser.ConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        profile = parser["default"]
        return {name: profile[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    except (OSError, configparser.Error, KeyError) as error:
        # Not the error's text: a parser's message quotes the line.
        raise StartError(
            f"REGISTRY_S3_CREDENTIALS_FILE: {file} is not a readable AWS credentials file with the profile 'default' "
            f"({type(error).__name__})"
        ) from None


@asynccontextmanager
async def _bounded(seconds: float, *, keep: type[Exception] | tuple = ()) -> AsyncIterator[None]:
    """Limit the time of calls, and turn the store's absence into Unavailable, except for errors of the type `keep`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except keep:
        raise
    except (BotoCoreError, ClientError, TimeoutError, OSError) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> Unavailable:
    if isinstance(error, ClientError):
        what = f"refused the call ({error.response.get('Error', {}).get('Code') or _status(error)})"
    else:
        what = f"cannot be reached ({type(error).__name__})"
    return Unavailable(f"the artifact store {what}", reason="ARTIFACT_STORE_UNAVAILABLE", retry_after_s=RETRY_AFTER_S)


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))  # type: ignore[typeddict-item]
