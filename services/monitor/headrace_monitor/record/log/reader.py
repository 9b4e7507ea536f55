"""Reading the prediction log: which files there are, and their records as Arrow tables."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace_servicekit.postgres.connections import BEGIN_SNAPSHOT, Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.record.log.files import LogFile, LogPosition, file_of
from headrace_monitor.record.log.objects import Objects

if TYPE_CHECKING:
    import pyarrow as pa

_SQL = load_queries("headrace_monitor.record.log")
BATCH_ROWS = 20_000
# The column that says which pipeline a version computed something for; null of what callers asked for.
PIPELINE = "pipeline"
_EVER = datetime(9999, 1, 1, tzinfo=UTC)


class Reader:
    """Reads the log. A file that is listed can be read for as long as `replaced_grace_s` after it was replaced."""

    def __init__(self, connections: Connections, objects: Objects) -> None:
        self._connections, self._objects = connections, objects

    async def files(self, model: str, version: str | None, start: datetime, end: datetime) -> list[LogFile]:
        """Return the files with records of a time, oldest hour first; version None means each.

        Begin inclusive, end exclusive; files at the ends have other records as well. Together they have each record
        once.
        """
        rows = await self._rows("files", model, version, start, end)
        return [file_of(row) for row in rows]

    async def derivable(self, after_id: int, *, limit: int = 100) -> list[LogFile]:
        """Return files of the first generation with greater ids, in their order: each record is in one of them.

        Ids become visible in their order, so who remembers the last id misses none. Files are there for at least two
        hours.
        """
        return [file_of(row) for row in await self._rows("derivable", after_id, limit)]

    async def following(
        self, model: str, start: datetime, known: Callable[[LogPosition], int | None]
    ) -> tuple[LogPosition, list[LogFile]]:
        """Return the position of log and outcomes, and the files of a model since a known position.

        known: the `files` of the known position; None to start over, with each file that has records from `start` on.
        Each record is in exactly one of the files returned by this call and later ones.
        """
        async with self._connections.transaction(begin=BEGIN_SNAPSHOT) as connection:
            position = LogPosition(**await connection.fetchrow(_SQL["position"]))
            after = known(position)
            if after is None:
                rows = await connection.fetch(_SQL["files"], model, None, start, _EVER)
            else:
                rows = await connection.fetch(_SQL["new_files"], model, after)
        return position, [file_of(row) for row in rows]

    async def models(self) -> list[str]:
        """Return the models that have records."""
        return [row["model"] for row in await self._rows("models")]

    async def content(self, file: LogFile) -> bytes:
        """Return a file as it is stored: Parquet. Raises LookupError when it is gone, Unavailable."""
        return await self._objects.get(file.object_key)

    async def table(self, file: LogFile, columns: Collection[str] | None = None) -> pa.Table:
        """Return a file's records. columns: only these; those that the file does not have are left out.

        Raises LookupError when the file is gone, Unavailable.
        """
        return await asyncio.to_thread(_read, await self.content(file), columns)

    async def _rows(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(lambda connection: connection.fetch(_SQL[query], *arguments))


def _read(content: bytes, columns: Collection[str] | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Loading releases the GIL; Arrow's own threads would take every core from the calls being served.
    file = pq.ParquetFile(pa.BufferReader(content))
    names = file.schema_arrow.names
    wanted = None if columns is None else [name for name in names if name in set(columns)]
    return file.read(columns=wanted, use_threads=False)


def batches(content: bytes, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield a file's predictions in parts, without what a version computed as a step of a pipeline: outcomes are about
    what callers were answered.

    columns: only these; those that the file does not have are left out.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(content))
    wanted = [name for name in file.schema_arrow.names if name in {*columns, PIPELINE}]
    # Arrow's own threads would take every core from the calls being served.
    for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False):
        if PIPELINE not in wanted:
            yield batch
            continue
        steps = batch.column(PIPELINE)
        asked = batch if steps.null_count == len(steps) else batch.filter(pc.is_null(steps))  # pyright: ignore[reportAttributeAccessIssue]
        yield asked.drop_columns([PIPELINE])


def answered_in(batch: pa.RecordBatch, start: datetime, end: datetime) -> pa.RecordBatch:
    """Return the records of a time: files at its ends have others as well."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = batch.column("answer_time")
    first, last = pa.scalar(start, times.type), pa.scalar(end, times.type)
    return batch.filter(pc.and_(pc.greater_equal(times, first), pc.less(times, last)))  # pyright: ignore[reportAttributeAccessIssue]
