"""Objects of the prediction log in S3: batches that were acknowledged, and files of the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from headrace_servicekit.s3 import READ_CALL_S, SHORT_CALL_S, Bucket, Place, content_md5, http_status

# Within what a data plane waits for its acknowledgement.
WRITE_CALL_S = 8.0
REMOVE_AT_ONCE = 1000
REASON = "STORE_UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in the store."""

    key: str
    size_bytes: int
    modify_time: datetime


class Objects:
    """Objects in one bucket. Every method raises Unavailable while the store is down. Opening it needs no server."""

    def __init__(self, place: Place) -> None:
        self._bucket = Bucket(place, owner="prediction log's store (S3)", reason=REASON)

    async def __aenter__(self) -> Objects:
        await self._bucket.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._bucket.__aexit__(*exception)

    async def check(self) -> None:
        """Raise Unavailable while the store does not answer."""
        await self._bucket.check()

    async def put_if_absent(self, key: str, content: bytes) -> bool:
        """Store an object unless the key has one already, which stays; return whether this call stored it.

        While another call writes the key, S3 returns 409: the outcome is unknown, so Unavailable is raised too.
        """
        await self._bucket.prepare()
        whole = await asyncio.to_thread(content_md5, content)
        async with self._bucket.bounded(WRITE_CALL_S):
            try:
                await self._bucket.client.put_object(**self._at(key), Body=content, IfNoneMatch="*", ContentMD5=whole)
            except ClientError as error:
                if http_status(error) != 412:
                    raise
                return False
        return True

    async def get(self, key: str) -> bytes:
        """Return an object's bytes. Raises LookupError when there is none."""
        async with self._bucket.bounded(READ_CALL_S):
            try:
                answer = await self._bucket.client.get_object(**self._at(key))
            except ClientError as error:
                if http_status(error) == 404:
                    raise LookupError(key) from None
                raise
            async with answer["Body"] as body:
                return await body.read()

    async def pages(self, prefix: str) -> AsyncIterator[list[StoredObject]]:
        """Yield what lies under a prefix, at most 1,000 objects at a time."""
        await self._bucket.prepare()
        token: dict[str, str] = {}
        while True:
            async with self._bucket.bounded(SHORT_CALL_S):
                listed = await self._bucket.client.list_objects_v2(Bucket=self._bucket.name, Prefix=prefix, **token)
            yield [StoredObject(item["Key"], item["Size"], item["LastModified"]) for item in listed.get("Contents", ())]
            if not listed.get("IsTruncated"):
                return
            token = {"ContinuationToken": listed["NextContinuationToken"]}

    async def remove(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there are none."""
        for start in range(0, len(keys), REMOVE_AT_ONCE):
            named = [{"Key": key} for key in keys[start : start + REMOVE_AT_ONCE]]
            async with self._bucket.bounded(READ_CALL_S):
                await self._bucket.client.delete_objects(
                    Bucket=self._bucket.name, Delete={"Objects": named, "Quiet": True}
                )

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket.name, "Key": key}
