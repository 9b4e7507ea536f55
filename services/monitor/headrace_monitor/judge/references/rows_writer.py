"""Write rows of a time range of the log to a Parquet file, which is then frozen like any other."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headrace_monitor.judge.references.columns import MonitoredColumn, monitored_columns
from headrace_monitor.judge.references.dependent_rows import UNIT, UNIT_COLUMNS, unit_hashes
from headrace_monitor.judge.references.log_rows import LogRows
from headrace_monitor.record.log.contracts import VersionContract
from headrace_monitor.record.log.decisions.sampled_rows import PROBABILITY, halvings_of, kept_evenly

MAX_ROWS = 1_000_000
# On disk and unpacked 128 MiB at most.
MAX_CELLS = 16_000_000
# The same rows whenever the same time is frozen.
_SEED = 1


class RowsWriter:
    """Writes rows of the log. A file of the log may lack columns that others have."""

    def __init__(self, rows: LogRows) -> None:
        self._rows = rows

    async def __call__(self, version: VersionContract, start: datetime, end: datetime, path: Path) -> int:
        """Write rows, every n-th where there are many, and return how many were written.

        Where the log was sampled with several probabilities, rows are thinned to the least of them.
        """
        columns = monitored_columns(version)
        cells = sum(min(column.width or 1, MAX_CELLS) if column.index is None else 1 for column in columns)
        most = max(min(MAX_ROWS, MAX_CELLS // max(cells, 1)), 1)
        schema = pa.schema([*((column.stored, _type(column)) for column in columns), (UNIT, pa.int64())])
        halvings: list[NDArray[np.int8]] = []
        wanted = [*(column.stored for column in columns), *UNIT_COLUMNS, PROBABILITY]
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            async for table in self._rows.rows(version.model, version.version, start, end, wanted, most=most):
                await asyncio.to_thread(writer.write_table, _as(_with_units(table), schema))
                halvings.append(halvings_of(table).astype(np.int8))
        sampled = kept_evenly(np.concatenate(halvings or [np.zeros(0, np.int8)]), np.random.default_rng(_SEED))
        if not sampled.all():
            await asyncio.to_thread(_keep, path, sampled)
        return int(sampled.sum())


def _with_units(table: pa.Table) -> pa.Table:
    """Return a table of the log with a column of each row's unit: the request's unit, else the request itself."""
    found = unit_hashes(table)
    return table.append_column(UNIT, pa.array(found)) if found.size else table


def _keep(path: Path, sampled: NDArray[np.bool_]) -> None:
    """Rewrite a file with only the sampled rows. sampled: mask of its rows."""
    file, thinner, begin = pq.ParquetFile(path), path.with_suffix(".thinned"), 0
    with pq.ParquetWriter(thinner, file.schema_arrow, compression="zstd") as writer:
        for batch in file.iter_batches(use_threads=False):
            writer.write_batch(batch.filter(pa.array(sampled[begin : begin + batch.num_rows])))
            begin += batch.num_rows
    thinner.replace(path)


def _type(column: MonitoredColumn) -> pa.DataType:
    if column.index is None:
        return pa.list_(pa.float32())
    if column.datatype in ("BYTES", "BOOL"):
        return pa.binary() if column.datatype == "BYTES" else pa.bool_()
    if column.datatype.startswith(("INT", "UINT")):
        return pa.uint64() if column.datatype == "UINT64" else pa.int64()
    return pa.float64()


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with these columns; what it lacks, or has as something else, is missing."""
    there = frozenset(table.schema.names)
    columns = [_cast(table.column(field.name), field) if field.name in there else None for field in schema]
    made = [
        pa.nulls(table.num_rows, field.type) if column is None else column
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.table(made, schema=schema)


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray | None:
    try:
        return column.cast(field.type, safe=False)
    except pa.ArrowException:
        return None
