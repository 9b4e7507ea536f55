"""A prediction log for tests that read it: files of records in S3, listed in PostgreSQL, without data planes.

log = Logged(postgres_url, s3, tmp_path)
await log.put(records("m", "v1", times, prediction_label=labels))
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq
from headrace_monitor.record.log.files import object_key
from headrace_monitor.record.log.objects import Objects
from headrace_servicekit.s3 import Place

from tests.kit.stores.servers import S3Store

_TIME = pa.timestamp("us", tz="UTC")


def prediction_ids(times: Sequence[datetime], draw: Any) -> list[str]:
    """Return a UUIDv7 of each time. draw: `random.Random`."""
    return [
        str(uuid.UUID(int=int(time.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | draw.getrandbits(60)))
        for time in times
    ]


def records(
    model: str, version: str, ids: Sequence[str], times: Sequence[datetime], *, variant: str = "main", **columns: Any
) -> pa.Table:
    """Return records of predictions of one row. columns: others of the log, such as `prediction_label`."""
    count = len(ids)
    common = {
        "prediction_id": pa.array(ids, pa.string()),
        "row": pa.array([0] * count, pa.int32()),
        "rows": pa.array([1] * count, pa.int32()),
        "answer_time": pa.array(times, _TIME),
        "model": pa.array([model] * count),
        "version": pa.array([version] * count),
        "variant": pa.array([variant] * count),
        "probability": pa.array([1.0] * count),
    }
    kinds = {"prediction_label": pa.string(), "attributes": pa.map_(pa.string(), pa.string()), "row": pa.int32()}
    told = {name: pa.array(values, kinds.get(name)) for name, values in columns.items()}
    return pa.table({**common, **told})


class Logged:
    """The log that a monitor on these stores reads. The monitor has to have made its schema."""

    def __init__(self, postgres_url: str, s3: S3Store, folder: Path) -> None:
        self._url = postgres_url
        self._place = Place(s3.endpoint, s3.bucket, s3.region, folder / "s3.credentials")

    async def put(self, *tables: pa.Table) -> None:
        """Add records, in each table those of one model and version: a file for each hour."""
        async with Objects(self._place) as objects:
            for table in tables:
                times = table.column("answer_time").to_pylist()
                hours = [time.replace(minute=0, second=0, microsecond=0) for time in times]
                for hour in sorted(set(hours)):
                    await self._put_hour(objects, table.filter(pa.array([one == hour for one in hours])), hour)

    async def _put_hour(self, objects: Objects, table: pa.Table, hour: datetime) -> None:
        model, version = table.column("model")[0].as_py(), table.column("version")[0].as_py()
        key = object_key(model, version, hour, uuid.uuid4().hex)
        content = io.BytesIO()
        pq.write_table(table, content)
        await objects.put_if_absent(key, content.getvalue())
        times = table.column("answer_time").to_pylist()
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(
                "insert into log_files (model, version, hour, object_key, size_bytes, row_count, prediction_count,"
                " min_answer_time, max_answer_time) values ($1, $2, $3, $4, $5, $6, $6, $7, $8)",
                *(model, version, hour, key, len(content.getvalue()), table.num_rows, min(times), max(times)),
            )
        finally:
            await connection.close()
