"""Files of the log that nothing lists, as after a restore: nobody reads them, and they go when they are too old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from headrace_monitor.record.log.files import hour_of, object_key
from headrace_monitor.record.log.orphans import OrphanSweeper
from headrace_monitor.record.log.writer import Files, NewFile
from headrace_servicekit.clock import SystemClock

from tests.kit.monitor.prediction_log import log_stores

KEEP = timedelta(days=31)


async def test_a_file_that_nothing_lists_goes_when_its_hour_is_out_of_the_retention(postgres_url, s3, tmp_path):
    clock, now = SystemClock(), datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    old, recent = now - KEEP - timedelta(hours=2), now - KEEP + timedelta(hours=2)
    async with log_stores(postgres_url, s3, tmp_path) as stores:
        orphans, files = (
            OrphanSweeper(stores.database, stores.objects, clock, KEEP),
            Files(stores.database, stores.objects, clock),
        )
        made = [
            NewFile("digits", "v1", old, b"listed", 1, 1, old, old),
            NewFile("digits", "v1", old, b"begun", 1, 1, old, old),
        ]
        listed, begun = await files.store(made)
        async with stores.database.transaction() as connection:
            await files.commit(connection, [listed])
        unlisted = [object_key("digits", version, hour, "unlisted") for version in ("v1", "") for hour in (old, recent)]
        others = ["log/readme.txt", f"{unlisted[0]}.bak", "batches/something"]
        for key in (*unlisted, *others):
            await stores.objects.put_if_absent(key, b"content")
        assert await orphans.sweep() == 2
        assert await orphans.sweep() == 0
        while await files.remove_leftovers():
            pass
        there = {one.key async for page in stores.objects.pages("") for one in page}
        # What is being written is noted as such, and listed or removed by whoever writes it.
        assert there == {listed.key, begun.key, unlisted[1], unlisted[3], *others}
        reader = stores.reader
        assert [one.object_key for one in await reader.files("digits", "v1", old, now)] == [listed.key]


@pytest.mark.parametrize(
    ("key", "hour"),
    [
        pytest.param(
            "log/model=a/version=_/hour=2030-01-02T03/x.parquet", datetime(2030, 1, 2, 3, tzinfo=UTC), id="file"
        ),
        pytest.param("log/model=a/version=v1/hour=2030-13-02T03/x.parquet", None, id="no month"),
        pytest.param("log/model=a/hour=2030-01-02T03/x.parquet", None, id="no version"),
        pytest.param("log/model=a/version=v1/hour=2030-01-02T03/x.csv", None, id="no Parquet"),
        pytest.param("batches/model=a/version=v1/hour=2030-01-02T03/x.parquet", None, id="no log"),
    ],
)
def test_the_hour_of_a_file_is_in_its_key(key, hour):
    assert hour_of(key) == hour
