"""Arrow tables as files of the log. Only threads of the compactor import this: pyarrow takes a while to load."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace_monitor.record.log.files import FORMER_COLUMNS, LogFile
from headrace_monitor.record.log.writer import NewFile

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ROW_GROUP_ROWS = 128 * 1024
# Ids and values are different in every record: a dictionary of them only costs.
_ALIKE = (
    "model",
    "version",
    "digest",
    "variant",
    "rule",
    "served_from",
    "fallback_step",
    "pipeline",
    "step",
    "data_plane",
    "process",
    "entity_id",
)


def new_file(model: str, version: str, hour: datetime, table: pa.Table) -> NewFile:
    """Return a table as a file."""
    content = _written(table.schema, [table])
    times = table["answer_time"].cast(pa.int64()).to_numpy()
    first, last = (_EPOCH + timedelta(microseconds=int(one)) for one in (times.min(), times.max()))
    predictions = int((table["row"].to_numpy() == 0).sum())
    return NewFile(model, version, hour, content, table.num_rows, predictions, first, last)


def merged_file(files: Sequence[LogFile], contents: Sequence[bytes]) -> NewFile:
    """Return files of one partition as one, reading one after the other."""
    opened = [pq.ParquetFile(pa.BufferReader(content)) for content in contents]
    schemas = [_renamed(one.schema_arrow.empty_table()).schema for one in opened]
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    content = _written(schema, (_with_all(_renamed(one.read(use_threads=False)), schema) for one in opened))
    first = files[0]
    return NewFile(
        *(first.model, first.version, first.hour, content),
        *(sum(one.rows for one in files), sum(one.predictions for one in files)),
        *(min(one.min_answer_time for one in files), max(one.max_answer_time for one in files)),
    )


def _renamed(table: pa.Table) -> pa.Table:
    return table.rename_columns([FORMER_COLUMNS.get(name, name) for name in table.column_names])


def _with_all(table: pa.Table, schema: pa.Schema) -> pa.Table:
    present = set(table.column_names)
    columns = [
        table[one.name].cast(one.type) if one.name in present else pa.nulls(table.num_rows, one.type) for one in schema
    ]
    return pa.table(columns, schema=schema)


def _written(schema: pa.Schema, tables: Iterable[pa.Table]) -> bytes:
    out = io.BytesIO()
    alike: Any = [name for name in _ALIKE if name in schema.names]
    with pq.ParquetWriter(out, schema, compression="zstd", compression_level=1, use_dictionary=alike) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    return out.getvalue()
