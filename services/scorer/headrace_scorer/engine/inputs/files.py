"""Files of every format as tables: what columns they have, and the rows of a shard."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from headrace_scorer.decisions.mapping import Column, Kind
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Format
from headrace_scorer.engine.inputs.csv_files import csv_chunks, csv_sample
from headrace_scorer.engine.inputs.json_lines import json_chunks, json_sample
from headrace_scorer.engine.inputs.rows import DAMAGE, TYPES, Chunk, Unreadable
from headrace_scorer.engine.objects import READ_BYTES

# Columns of a row group that are stored in more than this are read piece by piece; others each in one piece, which asks
# S3 less often.
_MAX_GROUP_BYTES, _LEAST_READ_BYTES = 256 << 20, 64 << 10


@dataclass(frozen=True, slots=True)
class Described:
    """What a file has. group_rows: of its row groups; none where only reading tells. types: found by looking."""

    columns: tuple[Column, ...]
    group_rows: tuple[int, ...] = ()
    types: tuple[tuple[str, str], ...] = ()
    empty: bool = False
    schema: pa.Schema | None = None


def described(file: io.BufferedReader, format_: Format) -> Described:
    """Return what a file has. Raises Unreadable."""
    try:
        if format_ is Format.PARQUET:
            opened = pyarrow.parquet.ParquetFile(file)
            groups = tuple(opened.metadata.row_group(at).num_rows for at in range(opened.num_row_groups))
            return Described(columns_of(opened.schema_arrow), groups, (), sum(groups) == 0, opened.schema_arrow)
        if format_ is Format.ARROW:
            opened = pa.ipc.open_file(file)
            groups = tuple(opened.get_batch(at).num_rows for at in range(opened.num_record_batches))
            return Described(columns_of(opened.schema), groups, (), sum(groups) == 0, opened.schema)
        sample = csv_sample(file) if format_ is Format.CSV else json_sample(file)
        types = tuple((one.name, str(_usual(one.type))) for one in sample.schema)
    except (*DAMAGE, ValueError) as error:
        raise Unreadable(_said(error)) from None
    schema = pa.schema([(name, TYPES[type_]) for name, type_ in types])
    return Described(columns_of(schema), (), types, sample.num_rows == 0, schema)


def chunks(
    file: io.BufferedReader,
    format_: Format,
    shard: Shard,
    columns: Sequence[str],
    types: Mapping[str, str],
    chunk_rows: int,
) -> Iterator[Chunk]:
    """Yield the rows of a shard. Raises Unreadable."""
    try:
        if format_ is Format.PARQUET:
            groups = list(range(shard.first_group, shard.end_group))
            opened = pyarrow.parquet.ParquetFile(file)
            if _group_bytes(opened.metadata, groups, columns) > _MAX_GROUP_BYTES:
                # Of each column so much at a time, and no row group as a whole beforehand.
                size = max(_LEAST_READ_BYTES, min(READ_BYTES, _MAX_GROUP_BYTES // max(1, len(columns))))
                opened = pyarrow.parquet.ParquetFile(file, metadata=opened.metadata, buffer_size=size, pre_buffer=False)
            batches = opened.iter_batches(chunk_rows, row_groups=groups, columns=list(columns))
            yield from _numbered(batches, shard.first_row, columns)
        elif format_ is Format.ARROW:
            opened = pa.ipc.open_file(file)
            parts = (opened.get_batch(at) for at in range(shard.first_group, shard.end_group))
            cut = (part.slice(at, chunk_rows) for part in parts for at in range(0, part.num_rows, chunk_rows))
            yield from _numbered(cut, shard.first_row, columns)
        elif format_ is Format.CSV:
            yield from csv_chunks(file, columns, types)
        else:
            yield from json_chunks(file, columns, types, chunk_rows)
    except (*DAMAGE, KeyError) as error:
        raise Unreadable(_said(error)) from None


def _group_bytes(metadata: Any, groups: Sequence[int], columns: Sequence[str]) -> int:
    """Return what the largest of some row groups has in some columns, as it is stored."""
    wanted, most = frozenset(columns), 0
    for at in groups:
        group = metadata.row_group(at)
        chunks_ = (group.column(number) for number in range(group.num_columns))
        stored = (
            one.total_compressed_size
            for one in chunks_
            if {one.path_in_schema, one.path_in_schema.split(".")[0]} & wanted
        )
        most = max(most, sum(stored))
    return most


def _numbered(batches: Iterator[pa.RecordBatch], first_row: int, columns: Sequence[str]) -> Iterator[Chunk]:
    for batch in batches:
        table = pa.Table.from_batches([batch]).select(columns)
        yield Chunk(np.arange(first_row, first_row + batch.num_rows), table)
        first_row += batch.num_rows


def columns_of(schema: pa.Schema) -> tuple[Column, ...]:
    """Return what the columns of a schema have."""
    return tuple(_column(one.name, one.type) for one in schema)


def _column(name: str, type_: pa.DataType) -> Column:
    inner, listed, length = type_, False, None
    if pa.types.is_dictionary(inner):
        inner = inner.value_type
    if pa.types.is_fixed_size_list(inner):
        inner, listed, length = inner.value_type, True, inner.list_size
    elif pa.types.is_list(inner) or pa.types.is_large_list(inner):
        inner, listed = inner.value_type, True
    return Column(name, _kind(inner), str(type_), listed, length)


def _kind(type_: pa.DataType) -> Kind:
    for kind, tests in (
        (Kind.BOOLEAN, (pa.types.is_boolean,)),
        (Kind.INTEGER, (pa.types.is_integer,)),
        (Kind.FLOAT, (pa.types.is_floating, pa.types.is_decimal)),
        (Kind.TEXT, (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)),
    ):
        if any(test(type_) for test in tests):
            return kind
    return Kind.OTHER


def _usual(type_: pa.DataType) -> pa.DataType:
    """Return the type that a file without types is read as; dates, say, as texts."""
    return type_ if str(type_) in TYPES else pa.string()


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
