"""The log is what PostgreSQL lists."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_monitor.record.log.files import object_key

from tests.kit.monitor.prediction_log import Stores, log_stores

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


async def listed(stores: Stores, hour: datetime, minutes: tuple[int, int], version: str = "v1", **columns: Any) -> int:
    """List a file with answers of some minutes of an hour, without an object; return its id."""
    first, last = (hour + timedelta(minutes=minute) for minute in minutes)
    values = {"model": "digits", "version": version, "hour": hour, "min_answer_time": first, "max_answer_time": last}
    values |= {"object_key": f"{version}-{first}", "size_bytes": 1, "row_count": 1, "prediction_count": 1, **columns}
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    statement = f"insert into log_files ({', '.join(values)}) values ({places}) returning id"
    async with stores.database.transaction() as connection:
        return await connection.fetchval(statement, *values.values())


async def test_files_of_a_time_are_those_whose_answers_reach_into_it(postgres_url, s3, tmp_path):
    async with log_stores(postgres_url, s3, tmp_path) as stores:
        early = await listed(stores, NOON, (0, 20))
        late = await listed(stores, NOON, (40, 59))
        other = await listed(stores, NOON, (0, 59), version="v2")
        after = await listed(stores, NOON + timedelta(hours=1), (0, 5))

        async def ids(version: str | None, start: int, end: int) -> list[int]:
            begin, finish = (NOON + timedelta(minutes=minute) for minute in (start, end))
            return [file.id for file in await stores.reader.files("digits", version, begin, finish)]

        assert await ids("v1", 0, 60) == [early, late]
        assert await ids("v1", 20, 40) == [early]
        assert await ids("v1", 21, 40) == []
        assert await ids(None, 50, 61) == [late, other, after]
        assert await stores.reader.files("fraud", None, NOON, NOON + timedelta(days=1)) == []
        assert await stores.reader.models() == ["digits"]


async def test_who_derives_takes_each_record_once_and_who_reads_too(postgres_url, s3, tmp_path):
    async with log_stores(postgres_url, s3, tmp_path) as stores:
        first = await listed(stores, NOON, (0, 10), replaced=True)
        second = await listed(stores, NOON, (20, 30), replaced=True)
        merged = await listed(stores, NOON, (0, 30), merged=True, object_key="merged")
        third = await listed(stores, NOON, (40, 50))
        assert [file.id for file in await stores.reader.derivable(0)] == [first, second, third]
        assert [file.id for file in await stores.reader.derivable(first, limit=1)] == [second]
        found = await stores.reader.files("digits", None, NOON, NOON + timedelta(hours=1))
        assert [file.id for file in found] == [merged, third]


async def test_a_file_is_read_with_the_columns_that_it_has(postgres_url, s3, tmp_path):
    async with log_stores(postgres_url, s3, tmp_path) as stores:
        key = object_key("digits", "v1", NOON, "a")
        content = io.BytesIO()
        pq.write_table(pa.table({"row": [0, 1], "feature.x": [1.5, None]}), content)
        assert await stores.objects.put_if_absent(key, content.getvalue())
        assert not await stores.objects.put_if_absent(key, b"something else")
        await listed(stores, NOON, (0, 1), object_key=key)
        await listed(stores, NOON, (2, 3), object_key="gone")
        file, gone = await stores.reader.derivable(0)
        assert (await stores.reader.table(file)).to_pydict() == {"row": [0, 1], "feature.x": [1.5, None]}
        assert (await stores.reader.table(file, ["feature.x", "y"])).to_pydict() == {"feature.x": [1.5, None]}
        with pytest.raises(LookupError):
            await stores.reader.table(gone)
