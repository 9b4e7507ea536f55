"""Files of every format as tables: what columns they have, and the rows of a shard."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
from headrace_servicekit.columns import sound

from headrace_scorer.decisions.columns import Column, Kind
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Format
from headrace_scorer.engine.inputs.csv_files import csv_chunks, csv_sample
from headrace_scorer.engine.inputs.json_lines import json_chunks, json_sample
from headrace_scorer.engine.inputs.rows import DAMAGE, TYPES, Bounds, Chunk, Unreadable
from headrace_scorer.engine.objects import READ_BYTES

# What Arrow takes for a value of Parquet, at least, however little it takes there that values repeat.
_VALUE_BYTES = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8}
TEXT_BYTES = 8
# Its functions are made when it is imported.
pc: Any = pyarrow.compute
# Columns of a row group that are stored in more than this are read piece by piece; others each in one piece, which asks
# S3 less often.
_MAX_GROUP_BYTES, _LEAST_READ_BYTES = 256 << 20, 64 << 10
# Rows that are decoded at once where it is known only then what they take.
_STEP_ROWS = 1024
# What Arrow reads as dictionaries.
_DICTIONARY_ENCODINGS = frozenset(("PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"))


@dataclass(frozen=True, slots=True)
class Described:
    """The description of a file. group_rows: rows of each row group; empty if unknown before reading. types: inferred
    from a sample. empty: no row at all, not even a rejected one. guessed: no row was found to infer types from.
    """

    columns: tuple[Column, ...]
    group_rows: tuple[int, ...] = ()
    types: tuple[tuple[str, str], ...] = ()
    empty: bool = False
    schema: pa.Schema | None = None
    guessed: bool = False


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
        sample, more = csv_sample(file) if format_ is Format.CSV else json_sample(file)
        types = tuple((one.name, str(_usual(one.type))) for one in sample.schema)
    except (*DAMAGE, ValueError) as error:
        raise Unreadable(_said(error)) from None
    schema = pa.schema([(name, TYPES[type_]) for name, type_ in types])
    none = sample.num_rows == 0
    return Described(columns_of(schema), (), types, none and not more, schema, none)


def chunks(
    file: io.BufferedReader,
    format_: Format,
    shard: Shard,
    columns: Sequence[str],
    types: Mapping[str, str],
    most: Bounds,
) -> Iterator[Chunk]:
    """Yield the rows of a shard, the same ones together each time. Raises Unreadable."""
    try:
        if format_ is Format.PARQUET:
            groups = list(range(shard.first_group, shard.end_group))
            opened = pyarrow.parquet.ParquetFile(file)
            schema, sizes = opened.schema_arrow, sizes_of(opened.metadata, groups, columns)
            # A text that a column repeats is held once until it is known how many rows there is room for. What is new
            # in a row group is held to its end, so only where there is room for all of it.
            fits = sizes.text_bytes <= most.size_bytes and sizes.encodings <= _DICTIONARY_ENCODINGS
            texts = [name for name in columns if fits and _is_text(schema.field(name).type)]
            options: dict[str, Any] = {"metadata": opened.metadata, "read_dictionary": texts}
            if sizes.stored_bytes > _MAX_GROUP_BYTES:
                # Of each column so much at a time, and no row group as a whole beforehand. By the file itself: what
                # its buffer reads ahead is of other columns, and would be read again.
                size = max(_LEAST_READ_BYTES, min(READ_BYTES, _MAX_GROUP_BYTES // max(1, len(columns))))
                opened = pyarrow.parquet.ParquetFile(file.raw, buffer_size=size, pre_buffer=False, **options)
            else:
                opened = pyarrow.parquet.ParquetFile(file, **options)
            known = all(pa.types.is_primitive(schema.field(name).type) or name in texts for name in columns)
            step = min(most.rows if known else _STEP_ROWS, max(1, most.size_bytes // max(1, sizes.row_bytes)))
            parts = opened.iter_batches(step, row_groups=groups, columns=list(columns))
            cut = (_written_out(one, schema) for part in parts for one in _cut(sound(part), most))
            yield from _numbered(_gathered(cut, most), shard.first_row, columns)
        elif format_ is Format.ARROW:
            opened = pa.ipc.open_file(file)
            parts = (opened.get_batch(at) for at in range(shard.first_group, shard.end_group))
            cut = (one for part in parts for one in _cut(sound(part.select(list(columns))), most))
            yield from _numbered(_gathered(cut, most), shard.first_row, columns)
        elif format_ is Format.CSV:
            yield from csv_chunks(file, columns, types, most)
        else:
            yield from json_chunks(file, columns, types, most)
    except (*DAMAGE, KeyError) as error:
        raise Unreadable(_said(error)) from None


def _is_text(type_: pa.DataType) -> bool:
    return _kind(type_.value_type if pa.types.is_dictionary(type_) else type_) is Kind.TEXT


def _cut(batch: pa.RecordBatch, most: Bounds) -> Iterator[pa.RecordBatch]:
    """Yield rows that may be held together; a row that is too large is alone."""
    if batch.num_rows == 0:  # some writers end with one
        return
    ends, start = np.cumsum(_row_bytes(batch)), 0
    while start < batch.num_rows:
        limit = most.size_bytes + (int(ends[start - 1]) if start else 0)
        end = min(max(start + 1, int(np.searchsorted(ends, limit, "right"))), start + most.rows)
        yield batch.slice(start, end - start)
        start = end


def _row_bytes(batch: pa.RecordBatch) -> np.ndarray:
    """Return what each row takes when its texts are written out."""
    alike, lengths = 1, np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if not _is_text(column.type):
            alike += column.nbytes // batch.num_rows
            continue
        written = isinstance(column, pa.DictionaryArray)
        each = pc.binary_length(column.dictionary).take(column.indices) if written else pc.binary_length(column)
        lengths += each.fill_null(0).to_numpy(zero_copy_only=False)
        alike += TEXT_BYTES
    return lengths + alike


def _written_out(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows with the texts that only reading made a dictionary of."""
    for at, field in enumerate(batch.schema):
        wanted = schema.field(field.name).type
        if pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(wanted):
            batch = batch.set_column(at, field.name, batch.column(at).cast(wanted))
    return batch


def _gathered(batches: Iterator[pa.RecordBatch], most: Bounds) -> Iterator[pa.Table]:
    """Yield tables of concatenated batches, each within the bounds."""
    pending, rows, size = list[pa.RecordBatch](), 0, 0
    for batch in batches:
        more = int(_row_bytes(batch).sum()) if any(map(pa.types.is_dictionary, batch.schema.types)) else batch.nbytes
        if pending and (rows + batch.num_rows > most.rows or size + more > most.size_bytes):
            yield _together(pending)
            pending, rows, size = [], 0, 0
        pending.append(batch)
        rows, size = rows + batch.num_rows, size + more
    if pending:
        yield _together(pending)


def _together(batches: list[pa.RecordBatch]) -> pa.Table:
    table = pa.Table.from_batches(batches)
    return table if len(batches) == 1 else table.combine_chunks()


def _numbered(tables: Iterator[pa.Table], first_row: int, columns: Sequence[str]) -> Iterator[Chunk]:
    for table in tables:
        yield Chunk(np.arange(first_row, first_row + table.num_rows), table.select(list(columns)))
        first_row += table.num_rows


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


class Sizes(NamedTuple):
    """What row groups have of some columns: the most that one stores, a row of the widest, and the most of texts.

    encodings: of texts.
    """

    stored_bytes: int
    row_bytes: int
    text_bytes: int
    encodings: frozenset[str]


def sizes_of(metadata: Any, groups: Sequence[int], columns: Sequence[str]) -> Sizes:
    """Return what row groups have of columns. Raises pa.ArrowException and OSError for a footer that is damaged."""
    _check(metadata, groups, columns)
    wanted, stored, row_bytes, text_bytes, encodings = frozenset(columns), 0, 0, 0, set[str]()
    paths = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    numbers = [number for number, path in enumerate(paths) if {path, path.split(".")[0]} & wanted]
    for at in groups:
        group = metadata.row_group(at)
        used = [group.column(number) for number in numbers]
        stored = max(stored, sum(one.total_compressed_size for one in used))
        decoded = sum(
            max(one.total_uncompressed_size, one.num_values * _VALUE_BYTES.get(one.physical_type, TEXT_BYTES))
            for one in used
        )
        row_bytes = max(row_bytes, decoded // max(1, group.num_rows))
        texts = [one for one in used if one.physical_type == "BYTE_ARRAY"]
        text_bytes = max(text_bytes, sum(one.total_uncompressed_size for one in texts))
        encodings.update(*(one.encodings for one in texts))
    return Sizes(stored, row_bytes, text_bytes, frozenset(encodings))


def _check(metadata: Any, groups: Sequence[int], columns: Sequence[str]) -> None:
    """Raise Arrow's error if the column metadata of a footer is damaged.

    Goes through Arrow's reader because `row_group(…).column(…)` ends the process on damaged metadata: no Python code
    can catch the C++ exception there.
    """
    opened = pyarrow.parquet.ParquetFile(_Unread(), metadata=metadata, pre_buffer=False, buffer_size=1)  # pyright: ignore[reportArgumentType]
    for at in groups:
        try:
            next(opened.iter_batches(1, row_groups=[at], columns=list(columns), use_threads=False), None)
        except _FirstRead:
            continue


class _FirstRead(Exception):
    """The reader begins to read: all that the footer says was found to be in order."""


class _Unread(io.RawIOBase):
    """A file that nothing is read from."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return 1 << 62

    def tell(self) -> int:
        return 1 << 62

    def read(self, size: int = -1) -> bytes:
        raise _FirstRead

    def readinto(self, buffer: Any) -> int:
        raise _FirstRead
