"""CSV files: their types found on a sample, and all their values read as texts first."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from headrace_scorer.engine.inputs.rows import SAMPLE_BYTES, TYPES, Bounds, Chunk, Rejected, shown

# Its functions are made when it is imported.
pc: Any = pyarrow.compute

_BLOCK_BYTES = 1 << 20
# More rows without one that can be read are none of the table that the header names, and would all be held.
_MOST_MALFORMED = 1_000_000


def csv_sample(file: io.BufferedReader) -> tuple[pa.Table, bool]:
    """Return the first rows, and whether there may be rows that are not among them."""
    sample = file.read(SAMPLE_BYTES)
    cut = len(sample) == SAMPLE_BYTES
    if cut:
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    if not sample.strip():
        return pa.table({}), cut
    malformed: list[int] = []

    def on_malformed(row: Any) -> str:
        malformed.append(row.actual_columns)
        return "skip"

    parsing = pyarrow.csv.ParseOptions(invalid_row_handler=on_malformed)
    return pyarrow.csv.read_csv(io.BytesIO(sample), parse_options=parsing), cut or bool(malformed)


def csv_chunks(
    file: io.BufferedReader, columns: Sequence[str], types: Mapping[str, str], most: Bounds
) -> Iterator[Chunk]:
    malformed = deque[tuple[int, str]]()

    def on_malformed(row: Any) -> str:
        reason = f"{row.actual_columns} values where the header has {row.expected_columns}"
        malformed.append((row.number - 2, reason))  # rows are counted from 1, the header among them
        return "skip" if len(malformed) <= _MOST_MALFORMED else "error"

    reader = pyarrow.csv.open_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=on_malformed),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=list(columns), column_types={name: pa.string() for name in columns}
        ),
    )
    following = 0
    for batch in reader:
        skipped = {number for number, _ in tuple(malformed)}
        for start in range(0, max(1, batch.num_rows), most.rows):
            part, numbers = batch.slice(start, most.rows), list[int]()
            while len(numbers) < part.num_rows or following in skipped:
                if following not in skipped:
                    numbers.append(following)
                following += 1
            rejected = list(_before(following, malformed))
            yield _typed(np.array(numbers, np.int64), pa.Table.from_batches([part]), types, rejected)
    if malformed:
        empty = pa.table({name: pa.array([], TYPES[types[name]]) for name in columns})
        yield Chunk(np.empty(0, np.int64), empty, [Rejected(number, "", reason) for number, reason in malformed])


def _before(row: int, malformed: deque[tuple[int, str]]) -> Iterator[Rejected]:
    while malformed and malformed[0][0] < row:
        number, reason = malformed.popleft()
        yield Rejected(number, "", reason)


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
