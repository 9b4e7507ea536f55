"""Records of the log, a part of a file at a time. The reader of the log is `headrace_monitor.log.reader`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 20_000


def batches(content: bytes, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield a file's records in parts. columns: only these; those that the file does not have are left out."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(content))
    wanted = [name for name in file.schema_arrow.names if name in set(columns)]
    # Threads of Arrow's own would take every core from whoever answers calls.
    yield from file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False)


def answered_in(batch: pa.RecordBatch, start: datetime, end: datetime) -> pa.RecordBatch:
    """Return the records of a time: files at its ends have others as well."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = batch.column("answer_time")
    first, last = pa.scalar(start, times.type), pa.scalar(end, times.type)
    return batch.filter(pc.and_(pc.greater_equal(times, first), pc.less(times, last)))  # pyright: ignore[reportAttributeAccessIssue]
