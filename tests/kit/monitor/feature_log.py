"""The prediction log as those who read it see it, filled by tests: files of records without whoever writes them."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from headrace_monitor.record.log.files import object_key
from headrace_monitor.record.log.objects import Objects
from headrace_monitor.record.log.reader import Reader
from headrace_monitor.storage.schema import Database
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.s3 import Place

from tests.kit.stores.servers import S3Store


class FeatureLog:
    """A log on real stores. reader: as the monitor's parts use it."""

    def __init__(self, database: Database, objects: Objects) -> None:
        self.database, self.objects = database, objects
        self.reader = Reader(database, objects)
        self._files = 0

    async def add(
        self,
        model: str,
        version: str,
        start: datetime,
        columns: Mapping[str, Any],
        *,
        lasting: timedelta = timedelta(hours=1),
        variant: str = "main",
        source: str = "online",
        merged: bool = False,
    ) -> int:
        """Add a file of records evenly over a time within an hour, and return its id."""
        table = records(start, columns, lasting=lasting, variant=variant, source=source)
        self._files += 1
        times = table.column("answer_time").to_pylist()
        hour = min(times).replace(minute=0, second=0, microsecond=0)
        key = object_key(model, version, hour, f"{self._files:06}")
        content = io.BytesIO()
        pq.write_table(table, content)
        assert await self.objects.put_if_absent(key, content.getvalue())
        async with self.database.transaction() as connection:
            return await connection.fetchval(
                "insert into log_files (model, version, hour, object_key, size_bytes, row_count, prediction_count,"
                " min_answer_time, max_answer_time, merged) values"
                " ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9) returning id",
                *(model, version, hour, key, content.tell(), table.num_rows, min(times), max(times), merged),
            )


@asynccontextmanager
async def feature_log(postgres_url: str, s3: S3Store, folder: Path) -> AsyncIterator[FeatureLog]:
    """Open a log with the monitor's schema."""
    credentials = folder / "log.credentials"
    credentials.touch(0o600)
    credentials.write_text(
        f"[default]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n", encoding="utf-8"
    )
    async with (
        Database(Address(postgres_url), size=10) as database,
        Objects(Place(s3.endpoint, s3.bucket, s3.region, credentials)) as objects,
    ):
        await database.migrate()
        yield FeatureLog(database, objects)


def records(
    start: datetime,
    columns: Mapping[str, Any],
    *,
    lasting: timedelta = timedelta(hours=1),
    variant: str = "main",
    source: str = "online",
) -> pa.Table:
    """Return records evenly over a time. columns: features and outputs, by names as in the log."""
    rows = len(next(iter(columns.values())))
    first, step = int(start.timestamp() * 1e6), lasting / timedelta(microseconds=1) / rows
    return pa.table(
        {
            "answer_time": pa.array((first + np.arange(rows) * step).astype(np.int64), pa.timestamp("us", "UTC")),
            "variant": [variant] * rows,
            "served_from": [source] * rows,
            **{name: _array(values) for name, values in columns.items()},
        }
    )


def _array(values: Any) -> pa.Array:
    return pa.array(list(values)) if isinstance(values, np.ndarray) and values.ndim > 1 else pa.array(values)
