"""Files as tables, some rows at a time, each row with its number in the file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from headrace_scorer.decisions.mapping import Column, Kind
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Format

# Its functions are made when it is imported.
pc: Any = pyarrow.compute

# What is read of a file that does not declare its types, to find them.
SAMPLE_BYTES = 1 << 20
SAMPLE_LINES = 1000
_LONGEST_TEXT = 100
# Types of files that do not declare them, by the name under which a job keeps them.
TYPES: Mapping[str, pa.DataType] = {
    str(one): one
    for one in (
        *(pa.int64(), pa.float64(), pa.bool_(), pa.string()),
        *(pa.list_(pa.int64()), pa.list_(pa.float64()), pa.list_(pa.bool_()), pa.list_(pa.string())),
    )
}


# What Arrow raises of a value that a column cannot have: a number of 30 digits, half of a surrogate pair.
_NO_VALUE = (pa.ArrowException, OverflowError, TypeError, UnicodeEncodeError)
# What Arrow raises of damaged bytes. S3's own errors are none of these.
DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)


class Unreadable(Exception):
    """A file cannot be read as what it is said to be; the message names neither the file nor what to do."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not scored. row: its number in its object, from 0. column: empty when none is to blame."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows. numbers: of the rows of the table, in the object. rejected: rows that are not in the table."""

    numbers: np.ndarray
    table: pa.Table
    rejected: list[Rejected] = field(default_factory=list)


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
        sample = _csv_sample(file) if format_ is Format.CSV else _json_sample(file)
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
            batches = pyarrow.parquet.ParquetFile(file).iter_batches(
                chunk_rows, row_groups=groups, columns=list(columns)
            )
            yield from _numbered(batches, shard.first_row, columns)
        elif format_ is Format.ARROW:
            opened = pa.ipc.open_file(file)
            parts = (opened.get_batch(at) for at in range(shard.first_group, shard.end_group))
            cut = (part.slice(at, chunk_rows) for part in parts for at in range(0, part.num_rows, chunk_rows))
            yield from _numbered(cut, shard.first_row, columns)
        elif format_ is Format.CSV:
            yield from _csv_chunks(file, columns, types)
        else:
            yield from _json_chunks(file, columns, types, chunk_rows)
    except (*DAMAGE, KeyError) as error:
        raise Unreadable(_said(error)) from None


def _numbered(batches: Iterator[pa.RecordBatch], first_row: int, columns: Sequence[str]) -> Iterator[Chunk]:
    for batch in batches:
        table = pa.Table.from_batches([batch]).select(columns)
        yield Chunk(np.arange(first_row, first_row + batch.num_rows), table)
        first_row += batch.num_rows


def _csv_sample(file: io.BufferedReader) -> pa.Table:
    sample = file.read(SAMPLE_BYTES)
    if len(sample) == SAMPLE_BYTES:
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    if not sample.strip():
        return pa.table({})
    skip = pyarrow.csv.ParseOptions(invalid_row_handler=lambda _: "skip")
    return pyarrow.csv.read_csv(io.BytesIO(sample), parse_options=skip)


def _csv_chunks(file: io.BufferedReader, columns: Sequence[str], types: Mapping[str, str]) -> Iterator[Chunk]:
    malformed: list[tuple[int, str]] = []

    def on_malformed(row: Any) -> str:
        told = f"{row.actual_columns} values where the header has {row.expected_columns}"
        malformed.append((row.number - 2, told))  # rows are counted from 1, the header among them
        return "skip"

    reader = pyarrow.csv.open_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=READ_BLOCK),
        parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=on_malformed),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=list(columns), column_types={name: pa.string() for name in columns}
        ),
    )
    following = 0
    for batch in reader:
        numbers, skipped = [], {number for number, _ in malformed}
        while len(numbers) < batch.num_rows:
            if following not in skipped:
                numbers.append(following)
            following += 1
        rejected = [Rejected(number, "", told) for number, told in malformed if number < following]
        malformed[:] = [one for one in malformed if one[0] >= following]
        yield _typed(np.array(numbers, np.int64), pa.Table.from_batches([batch]), types, rejected)
    if malformed:
        last = [Rejected(number, "", told) for number, told in malformed]
        empty = pa.table({name: pa.array([], TYPES[types[name]]) for name in columns})
        yield Chunk(np.empty(0, np.int64), empty, last)


READ_BLOCK = 1 << 20


def _typed(numbers: np.ndarray, table: pa.Table, types: Mapping[str, str], rejected: list[Rejected]) -> Chunk:
    """Return texts as what their columns have. What cannot be read as that is rejected."""
    good = np.ones(table.num_rows, bool)
    read = {}
    for name in table.column_names:
        column, type_ = table.column(name).combine_chunks(), TYPES[types[name]]
        read[name], wrong = _of_texts(column, type_)
        rejected += [
            Rejected(int(numbers[at]), name, f"{shown(column[int(at)].as_py())} is no {type_}")
            for at in np.flatnonzero(wrong & good)
        ]
        good &= ~wrong
    typed = pa.table(read)
    return Chunk(numbers[good], typed if good.all() else typed.filter(pa.array(good)), rejected)


def _of_texts(column: pa.Array, type_: pa.DataType) -> tuple[pa.Array, np.ndarray]:
    if pa.types.is_string(type_):
        return column, np.zeros(len(column), bool)
    trimmed = pc.utf8_trim_whitespace(column)
    there = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
    try:
        return there.cast(type_), np.zeros(len(column), bool)
    except pa.ArrowInvalid:
        values, wrong = [], np.zeros(len(column), bool)
        for at, text in enumerate(there.to_pylist()):
            try:
                values.append(pa.scalar(text, pa.string()).cast(type_).as_py())
            except pa.ArrowInvalid:
                wrong[at] = True
                values.append(None)
        return pa.array(values, type_), wrong


def _json_sample(file: io.BufferedReader) -> pa.Table:
    rows = []
    for line in file.read(SAMPLE_BYTES).split(b"\n")[:SAMPLE_LINES]:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # also the last one, which may be cut
        if isinstance(row, dict):
            rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: _inferred([row.get(name) for row in rows]) for name in names})


def _inferred(values: list[Any]) -> pa.Array:
    """Return an array of the type that most of the values have or may be read as; only its type is looked at."""
    try:
        return pa.array(values)
    except _NO_VALUE:
        numbers = all(isinstance(value, (int, float)) or value is None for value in values)
        return pa.nulls(len(values), pa.float64() if numbers else pa.string())


def _json_chunks(
    file: io.BufferedReader, columns: Sequence[str], types: Mapping[str, str], chunk_rows: int
) -> Iterator[Chunk]:
    number, rows, numbers = 0, [], []
    rejected: list[Rejected] = []
    for line in file:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
            numbers.append(number)
        else:
            rejected.append(Rejected(number, "", "is not a JSON object"))
        number += 1
        if len(rows) + len(rejected) >= chunk_rows:
            yield _of_objects(numbers, rows, columns, types, rejected)
            rows, numbers, rejected = [], [], []
    if rows or rejected:
        yield _of_objects(numbers, rows, columns, types, rejected)


def _of_objects(
    numbers: list[int], rows: list[Any], columns: Sequence[str], types: Mapping[str, str], rejected: list[Rejected]
) -> Chunk:
    good = np.ones(len(rows), bool)
    read = {}
    for name in columns:
        values, type_ = [row.get(name) for row in rows], TYPES[types[name]]
        try:
            read[name] = pa.array(values, type_)
        except _NO_VALUE:
            each = []
            for at, value in enumerate(values):
                try:
                    each.append(pa.scalar(value, type_).as_py())
                except _NO_VALUE:
                    each.append(None)
                    if good[at]:
                        rejected.append(Rejected(numbers[at], name, f"{shown(value)} is no {type_}"))
                    good[at] = False
            read[name] = pa.array(each, type_)
    typed = pa.table(read) if read else pa.table({})
    return Chunk(np.array(numbers, np.int64)[good], typed if good.all() else typed.filter(pa.array(good)), rejected)


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


def shown(value: object) -> str:
    """Return a value for people."""
    text = repr(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
