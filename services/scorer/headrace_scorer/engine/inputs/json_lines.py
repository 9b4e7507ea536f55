"""Files of JSON objects, one in a line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headrace_scorer.engine.inputs.rows import NO_VALUE, SAMPLE_BYTES, TYPES, Bounds, Chunk, Rejected, Unreadable, shown

SAMPLE_LINES = 1000
# A line that is longer is not one of a file of rows.
LONGEST_LINE = 64 << 20
# What short numbers and texts take as objects for each byte of a line; empty lists and objects take twice that.
_OBJECT_BYTES = 10


def json_sample(file: io.BufferedReader) -> tuple[pa.Table, bool]:
    """Return the first rows, and whether there may be rows that are not among them."""
    rows, sample = [], file.read(SAMPLE_BYTES)
    if b"\n" not in sample:
        sample += file.readline(LONGEST_LINE)
    for line in sample.split(b"\n")[:SAMPLE_LINES]:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # also the last one, which may be cut
        if isinstance(row, dict):
            rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: _inferred([row.get(name) for row in rows]) for name in names})
    return table, len(sample) >= SAMPLE_BYTES or bool(sample.strip())


def _inferred(values: list[Any]) -> pa.Array:
    """Return an array of the type that most of the values have or may be read as; only its type is looked at."""
    try:
        return pa.array(values)
    except NO_VALUE:
        numbers = all(isinstance(value, (int, float)) or value is None for value in values)
        return pa.nulls(len(values), pa.float64() if numbers else pa.string())


def json_chunks(
    file: io.BufferedReader, columns: Sequence[str], types: Mapping[str, str], most: Bounds
) -> Iterator[Chunk]:
    number, size, rows, numbers = 0, 0, [], []
    rejected: list[Rejected] = []
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise Unreadable(f"row {number} is longer than {LONGEST_LINE >> 20} MiB")
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
        number, size = number + 1, size + _OBJECT_BYTES * len(line)
        if len(rows) + len(rejected) >= most.rows or size >= most.size_bytes:
            yield _of_objects(numbers, rows, columns, types, rejected)
            size, rows, numbers, rejected = 0, [], [], []
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
        except NO_VALUE:
            each = []
            for at, value in enumerate(values):
                try:
                    each.append(pa.scalar(value, type_).as_py())
                except NO_VALUE:
                    each.append(None)
                    if good[at]:
                        rejected.append(Rejected(numbers[at], name, f"{shown(value)} is no {type_}"))
                    good[at] = False
            read[name] = pa.array(each, type_)
    typed = pa.table(read) if read else pa.table({})
    return Chunk(np.array(numbers, np.int64)[good], typed if good.all() else typed.filter(pa.array(good)), rejected)
