"""The service's own access to results in S3: it writes the manifest and removes results."""

from __future__ import annotations

from headrace_servicekit.s3 import READ_CALL_S, Bucket, Place, content_md5

from headrace_scorer.decisions.specs import Location
from headrace_scorer.settings import ScorerSettings

_REASON = "STORE_UNAVAILABLE"


class Outputs:
    """Results of jobs. Every method raises Unavailable while the store is down."""

    def __init__(self, settings: ScorerSettings) -> None:
        self._settings = settings

    async def prepare(self) -> None:
        """Make the scorer's own bucket, unless it is there."""
        async with self._bucket(self._settings.s3_bucket) as bucket:
            await bucket.prepare()

    async def write(self, at: Location, content: bytes) -> None:
        """Write an object; overwrite an existing one."""
        async with self._bucket(at.bucket) as bucket, bucket.bounded(READ_CALL_S):
            await bucket.client.put_object(
                Bucket=at.bucket, Key=at.prefix, Body=content, ContentMD5=content_md5(content)
            )

    async def remove(self, at: Location) -> int:
        """Remove everything below a place; return how many objects that were."""
        removed = 0
        async with self._bucket(at.bucket) as bucket:
            while True:
                async with bucket.bounded(READ_CALL_S):
                    page = await bucket.client.list_objects_v2(Bucket=at.bucket, Prefix=f"{at.prefix}/")
                    named = [{"Key": item["Key"]} for item in page.get("Contents", ())]
                    if not named:
                        return removed
                    removed += len(named)
                    await bucket.client.delete_objects(Bucket=at.bucket, Delete={"Objects": named, "Quiet": True})

    def _bucket(self, name: str) -> Bucket:
        return Bucket(Place.of(self._settings, bucket=name), owner="scorer's store (S3)", reason=_REASON)
