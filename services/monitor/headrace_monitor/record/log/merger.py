"""Merge small files of an hour into one, and drop replaced and old files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.postgres.connections import Transactions
from headrace_servicekit.postgres.sql import load_queries
from headrace_servicekit.times import HOUR

from headrace_monitor.record.log.files import LogFile, file_of
from headrace_monitor.record.log.metrics import LogMetrics
from headrace_monitor.record.log.objects import Objects
from headrace_monitor.record.log.writer import Files, expect
from headrace_monitor.storage.schema import passed

log = structlog.get_logger()

_SQL = load_queries("headrace_monitor.record.log")

# A file of this size gains nothing more by being merged.
LARGE_BYTES = 32 * 1024 * 1024
FILES_AT_ONCE = 500
DROP_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class FileAges:
    """Age limits. merge_after: of a file before it is merged. grace: of a replaced file. keep: of records."""

    merge_after: timedelta
    grace: timedelta
    keep: timedelta


class FileMerger:
    """Merges and removes files. Readers of the list in PostgreSQL find each record once, at any moment."""

    def __init__(
        self, database: Transactions, objects: Objects, files: Files, ages: FileAges, clock: Clock, metrics: LogMetrics
    ) -> None:
        self._database, self._objects, self._files = database, objects, files
        self._ages, self._clock, self._metrics = ages, clock, metrics

    async def merge(self) -> bool:
        """Merge files of the hour that waits longest; return whether there may be more."""
        before = self._clock.now() - self._ages.merge_after
        rows = await self._database.repeatable(
            lambda connection: connection.fetch(_SQL["mergeable"], before, LARGE_BYTES, FILES_AT_ONCE)
        )
        together = fitting([file_of(row) for row in rows], LARGE_BYTES * 2)
        if len(together) < 2:
            return False
        await self._merge(together)
        return True

    async def drop(self) -> bool:
        """Take files off the list that were replaced a while ago, or are too old; return whether there may be more."""
        now = self._clock.now()
        # The last records of an hour are an hour younger than its beginning.
        before = await passed(self._database, now) - self._ages.keep - HOUR
        async with self._database.transaction() as connection:
            tag = await connection.execute(_SQL["drop_files"], now - self._ages.grace, before, DROP_AT_ONCE, now)
        return int(tag.rpartition(" ")[2]) == DROP_AT_ONCE

    async def _merge(self, together: Sequence[LogFile]) -> None:
        from headrace_monitor.record.log import parquet  # pyarrow, which the service starts without

        contents = [await self._content(file) for file in together]
        merged = await asyncio.to_thread(parquet.merged_file, together, contents)
        written = await self._files.store([merged])
        async with self._database.transaction() as connection:
            await self._files.commit(connection, written, merged=True)
            ids = [file.id for file in together]
            expect(await connection.execute(_SQL["replace_files"], ids, self._clock.now()), len(ids))
        self._metrics.written(1, 0)

    async def _content(self, file: LogFile) -> bytes:
        try:
            return await self._objects.get(file.object_key)
        except LookupError:
            # Removed by another party. It cannot be read any more, and must not stop the merge of the other files.
            log.error("a file of the log is gone", key=file.object_key, records=file.rows)
            async with self._database.transaction() as connection:
                await connection.execute(_SQL["replace_files"], [file.id], self._clock.now())
            raise


def fitting(files: Sequence[LogFile], most_bytes: int) -> list[LogFile]:
    """Return the first files that have at most `most_bytes` in total."""
    together: list[LogFile] = []
    remaining = most_bytes
    for file in files:
        if file.size_bytes > remaining:
            break
        remaining -= file.size_bytes
        together.append(file)
    return together
