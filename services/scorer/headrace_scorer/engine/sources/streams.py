"""Rows of a source as a stream of Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pyarrow as pa
from headrace_servicekit.columns import sound


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows with their columns. Reading raises Failed."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def stream_of(reader: pa.RecordBatchReader, errors: Callable[[], AbstractContextManager[None]]) -> Stream:
    """Return what a reader has. errors: turns what reading raises into Failed; it sees nothing of what rows are for."""
    return Stream(reader.schema, _guarded(reader, errors))


def _guarded(
    reader: Iterable[pa.RecordBatch], errors: Callable[[], AbstractContextManager[None]]
) -> Iterator[pa.RecordBatch]:
    batches = iter(reader)
    while True:
        with errors():
            batch = next(batches, None)
            if batch is None:
                return
            sound(batch)
        yield batch
