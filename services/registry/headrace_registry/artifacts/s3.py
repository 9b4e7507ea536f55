"""Blobs in an S3 store. Every wait is bounded, and the store's absence is Unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import structlog
from botocore.config import Config
from botocore.exceptions import ClientError
from headrace_servicekit import s3
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.s3 import READ_CALL_S, SHORT_CALL_S, content_md5, http_status

from headrace_registry.artifacts.blobs import (
    BLOB_PREFIX,
    READ_BYTES,
    StoredBytes,
    UploadUrl,
    blob_key,
    staging_key,
)
from headrace_registry.decisions.names import is_sha256

log = structlog.get_logger()

# While it lasts, uploads of the same bytes wait for a lock in the database, which they do for 4 s.
REMOVE_CALL_S = 3.0
# For one part: at least 0.4 MiB/s.
PART_CALL_S = READ_CALL_S
PART_BYTES = 8 * 1024 * 1024


class S3Blobs:
    """Blobs in one bucket. Opening it needs no server.

    public_endpoint: URL of the same store as senders outside reach it; None when they do not.
    """

    def __init__(self, place: s3.Place, public_endpoint: str | None = None) -> None:
        self._bucket = s3.Bucket(place, owner="artifact store (S3)", reason="ARTIFACT_STORE_UNAVAILABLE")
        self._public_endpoint = public_endpoint
        self._public_client: Any = None

    async def __aenter__(self) -> S3Blobs:
        await self._bucket.__aenter__()
        if self._public_endpoint is not None:
            # Only signs: the host is part of what is signed.
            signing = Config(signature_version="s3v4")
            self._public_client = await self._bucket.client_for(self._public_endpoint, signing)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._bucket.__aexit__(*exception)

    async def prepare(self) -> None:
        """Make the bucket, unless it is there."""
        await self._bucket.prepare()

    async def check(self) -> None:
        await self._bucket.check()

    async def size(self, sha256: str) -> int | None:
        async with self._bucket.bounded(SHORT_CALL_S):
            try:
                head = await self._bucket.client.head_object(Bucket=self._bucket.name, Key=blob_key(sha256))
            except ClientError as error:
                if http_status(error) == 404:
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
                # Another writer stored the same bytes first, or (409) a conflicting operation left nothing stored: the
                # size shows which.
                if http_status(error) not in (409, 412) or await self.size(sha256) != size_bytes:
                    raise self._bucket.unavailable(error) from error

    async def remove(self, sha256: str) -> None:
        async with self._bucket.bounded(REMOVE_CALL_S):
            await self._bucket.client.delete_object(Bucket=self._bucket.name, Key=blob_key(sha256))

    async def pages(self) -> AsyncIterator[list[StoredBytes]]:
        token: dict[str, str] = {}
        while True:
            async with self._bucket.bounded(SHORT_CALL_S):
                listed = await self._bucket.client.list_objects_v2(
                    Bucket=self._bucket.name, Prefix=BLOB_PREFIX, **token
                )
            found = listed.get("Contents", ())
            yield [
                StoredBytes(sha256, item["Size"], item["LastModified"])
                for item in found
                # Other objects under the prefix are not the registry's to remove.
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
        async with self._bucket.bounded(SHORT_CALL_S):
            url = await self._public_client.generate_presigned_url(
                "put_object", Params=place, ExpiresIn=int(ttl.total_seconds())
            )
        # It is part of what is signed: the store refuses more, and less.
        return UploadUrl(url, {"content-length": str(size_bytes)})

    def read_staged(self, upload: UUID) -> AsyncIterator[bytes]:
        return self._read(staging_key(upload))

    async def remove_staged(self, upload: UUID) -> None:
        async with self._bucket.bounded(SHORT_CALL_S):
            await self._bucket.client.delete_object(Bucket=self._bucket.name, Key=staging_key(upload))

    async def abort_abandoned(self, before: datetime) -> int:
        """Drop the parts of uploads begun before that time by a process that died; return how many uploads."""
        dropped = 0
        async with self._bucket.bounded(SHORT_CALL_S):
            listed = await self._bucket.client.list_multipart_uploads(Bucket=self._bucket.name, Prefix=blob_key(""))
            for upload in listed.get("Uploads", ()):
                if upload["Initiated"] < before:
                    await self._abort(upload["Key"], upload["UploadId"])
                    dropped += 1
        return dropped

    async def _read(self, key: str) -> AsyncIterator[bytes]:
        async with self._bucket.bounded(SHORT_CALL_S):
            try:
                answer = await self._bucket.client.get_object(Bucket=self._bucket.name, Key=key)
            except ClientError as error:
                if http_status(error) == 404:
                    raise LookupError(key) from None
                raise
        body = answer["Body"]
        # Entering yields what it wraps, which reads differently; it is only entered to be closed.
        async with body:
            while True:
                async with self._bucket.bounded(PART_CALL_S):
                    piece = await body.read(READ_BYTES)
                if not piece:
                    return
                yield piece

    async def _put_whole(self, sha256: str, opened: BinaryIO, condition: dict[str, str]) -> None:
        body = await asyncio.to_thread(opened.read)
        whole = {"ContentMD5": await asyncio.to_thread(content_md5, body)}
        async with self._bucket.bounded(PART_CALL_S, keep=ClientError):
            await self._bucket.client.put_object(
                Bucket=self._bucket.name, Key=blob_key(sha256), Body=body, **whole, **condition
            )

    async def _put_parts(self, sha256: str, opened: BinaryIO, condition: dict[str, str]) -> None:
        place = {"Bucket": self._bucket.name, "Key": blob_key(sha256)}
        async with self._bucket.bounded(SHORT_CALL_S):
            upload = (await self._bucket.client.create_multipart_upload(**place))["UploadId"]
        try:
            parts: list[dict[str, Any]] = []
            while body := await asyncio.to_thread(opened.read, PART_BYTES):
                number = len(parts) + 1
                async with self._bucket.bounded(PART_CALL_S):
                    part = await self._bucket.client.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
            # The store joins the parts now, which takes longer the more there are.
            async with self._bucket.bounded(PART_CALL_S + 0.1 * len(parts), keep=ClientError):
                await self._bucket.client.complete_multipart_upload(
                    **place, UploadId=upload, MultipartUpload={"Parts": parts}, **condition
                )
        except BaseException:
            await self._abort_quietly(place["Key"], upload)
            raise

    async def _abort(self, key: str, upload: str) -> None:
        await self._bucket.client.abort_multipart_upload(Bucket=self._bucket.name, Key=key, UploadId=upload)

    async def _abort_quietly(self, key: str, upload: str) -> None:
        """Drop the parts; what cannot be dropped now is dropped by `abort_abandoned`."""
        try:
            async with self._bucket.bounded(SHORT_CALL_S):
                await self._abort(key, upload)
        except Unavailable:
            log.warning("upload left behind", key=key)
