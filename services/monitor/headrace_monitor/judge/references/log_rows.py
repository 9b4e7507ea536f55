"""Read rows of a time range of the log, every n-th where there are too many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute

from headrace_monitor.record.log.files import LogFile

# Its functions are made when it is imported, which type checkers do not see.
pc: Any = pyarrow.compute

_TIME = "answer_time"
MAX_FILES = 256


class LogReader(Protocol):
    """The prediction log, as it is read here."""

    async def files(self, model: str, version: str | None, start: datetime, end: datetime) -> Sequence[LogFile]:
        """Return the files that may have rows of a time."""
        ...

    async def table(self, file: LogFile, columns: Collection[str] | None = None) -> pa.Table:
        """Return those of the columns that a file has. Raises LookupError when it is gone, Unavailable."""
        ...


class LogRows:
    """Rows of the log by time."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    async def rows(
        self, model: str, version: str, start: datetime, end: datetime, columns: Sequence[str], *, most: int
    ) -> AsyncIterator[pa.Table]:
        """Yield tables with at most about `most` rows together, evenly from the time, of at most MAX_FILES files."""
        files = await self._reader.files(model, version, start, end)
        files = files[:: max(-(-len(files) // MAX_FILES), 1)]
        every = max(-(-sum(file.rows for file in files) // most), 1)
        for file in files:
            try:
                table = await self._reader.table(file, [_TIME, *columns])
            except LookupError:
                continue  # merged or expired since it was listed: a few rows fewer
            times = table.column(_TIME)
            zone = pa.timestamp("us", "UTC")
            within = pc.and_(pc.greater_equal(times, pa.scalar(start, zone)), pc.less(times, pa.scalar(end, zone)))
            table = table.filter(within)
            yield table if every == 1 else table.take(pa.array(range(0, table.num_rows, every)))
