"""Heads of a history in a bucket: objects that are created and never written again.

Needs the extra `headrace-servicekit[s3]`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from botocore.exceptions import ClientError

from headrace_servicekit.postgres.kept_heads import name_of, newest_of
from headrace_servicekit.s3 import READ_CALL_S, SHORT_CALL_S, Bucket, Place, content_md5, http_status


@asynccontextmanager
async def opened(place: Place, prefix: str) -> AsyncIterator[S3Heads]:
    """Open the heads below a prefix."""
    async with Bucket(place, owner="store of heads (S3)", reason="HEADS_UNAVAILABLE") as bucket:
        yield S3Heads(bucket, prefix)


class S3Heads:
    """Heads below a prefix of an open bucket. Raises Unavailable."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix
        self._known = 0

    async def newest(self) -> tuple[int, bytes] | None:
        await self._bucket.prepare()
        number = await self._number()
        if number is None:
            return None
        self._known = number
        async with self._bucket.bounded(READ_CALL_S):
            found = await self._bucket.client.get_object(Bucket=self._bucket.name, Key=self._key(number))
            return number, await found["Body"].read()

    async def keep(self, number: int, content: bytes) -> bool:
        async with self._bucket.bounded(READ_CALL_S):
            try:
                await self._bucket.client.put_object(
                    Bucket=self._bucket.name,
                    Key=self._key(number),
                    Body=content,
                    IfNoneMatch="*",
                    ContentMD5=content_md5(content),
                )
            except ClientError as error:
                if http_status(error) in (409, 412):  # another replica was first
                    return False
                raise self._bucket.unavailable(error) from error
        return True

    async def _number(self) -> int | None:
        # From where it was the last time on: names are in the order of their numbers.
        found = self._known or None
        after = self._key(self._known - 1) if self._known else self._prefix
        while True:
            async with self._bucket.bounded(SHORT_CALL_S):
                listed = await self._bucket.client.list_objects_v2(
                    Bucket=self._bucket.name, Prefix=self._prefix, StartAfter=after
                )
            keys = [item["Key"] for item in listed.get("Contents", ())]
            number = newest_of(key.removeprefix(self._prefix) for key in keys)
            found = number if number is not None else found
            if not listed.get("IsTruncated"):
                return found
            after = keys[-1]

    def _key(self, number: int) -> str:
        return self._prefix + name_of(number)
