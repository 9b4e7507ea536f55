"""Objects of the log: stored once, and never taken for stored while nobody knows."""

import pytest
from headrace_monitor.record.log.objects import Objects
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.s3 import Place

from tests.kit.monitor.prediction_log import credentials_file
from tests.kit.stores.s3_front import S3Front


async def test_an_object_that_somebody_else_is_about_to_store_is_not_taken_for_stored(s3, tmp_path):
    async with S3Front.before(s3) as front:
        place = Place(front.store.endpoint, s3.bucket, s3.region, credentials_file(s3, tmp_path))
        async with Objects(place) as objects:
            await objects.check()
            front.conflicts = True
            with pytest.raises(Unavailable, match="ConditionalRequestConflict"):
                await objects.put_if_absent("batches/one", b"content")
            with pytest.raises(LookupError):
                await objects.get("batches/one")
            front.conflicts = False
            assert await objects.put_if_absent("batches/one", b"content")
            assert not await objects.put_if_absent("batches/one", b"other")
            assert await objects.get("batches/one") == b"content"
