"""Copies of a source's rows as Parquet, stored with the results: every resumption of a job scores the same rows."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet

from headrace_scorer.engine.messages import PlanOrder
from headrace_scorer.engine.objects import Listed, Objects
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.sources import iceberg, postgresql
from headrace_scorer.engine.sources.streams import Stream

# Rows of a row group, which shards are made of, and bytes that are held before one of fewer rows is written.
GROUP_ROWS, GROUP_BYTES = 50_000, 64 << 20
# A file is ended once it is so large: the scorer's work folder holds one at a time.
FILE_BYTES = 256 << 20


class Reader(Protocol):
    """A module that reads from systems of one type."""

    def schema(self, order: PlanOrder) -> pa.Schema:
        """Return what columns there are. Raises Failed."""
        ...

    def rows(self, order: PlanOrder, columns: Sequence[str]) -> AbstractContextManager[Stream]:
        """Yield the rows, as they are at one moment; these columns at least. Raises Failed."""
        ...


_READERS: dict[str, Reader] = {"postgresql": postgresql, "iceberg": iceberg}


def reader_of(order: PlanOrder) -> Reader:
    """Return who reads from the source of an order."""
    assert order.source is not None
    return _READERS[order.source.type]


def distinct(schema: pa.Schema) -> pa.Schema:
    """Return a schema. Raises Failed where two columns have one name."""
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise Failed("SOURCE_UNUSABLE", f"two columns are called '{twice}': give each a name of its own")
    return schema


def schema_of(order: PlanOrder) -> pa.Schema:
    """Return the columns of a source. Raises Failed."""
    return distinct(reader_of(order).schema(order))


def copied(order: PlanOrder, objects: Objects, columns: Sequence[str], before: Sequence[Listed]) -> list[Listed]:
    """Copy the rows of a source to files and return these. Raises Failed, and what S3 raises.

    File names are unique to this copy. Files of an incomplete copy, which a crashed process leaves, are removed.
    before: files that existed before this process queried the source.
    """
    below = order.work.spec.input
    for left in before:
        objects.remove(below.bucket, left.key)
    token, listed = secrets.token_hex(8), list[Listed]()
    try:
        with reader_of(order).rows(order, columns) as rows:
            for number, path in enumerate(_files(rows, Path(order.folder))):
                at = below.below(token, f"part-{number:05}.parquet")
                objects.create(at, path, {})
                listed.append(objects.found(at.bucket, at.prefix))
    except pa.ArrowException as error:  # a type that Parquet does not have
        message = f"{order.work.spec.reads} cannot be written as Parquet ({error})"
        raise Failed("SOURCE_UNUSABLE", f"{message}: convert its columns in the query, or leave them out") from None
    except OSError as error:  # none of S3's, and none of the source's
        message = f"{error.strerror or error}: give the scorer's work folder (SCORER_WORK_DIR) more room, and retry"
        raise Failed("DISK_FULL", message) from None
    return listed


def _files(rows: Stream, folder: Path) -> Iterator[Path]:
    """Yield files with rows, each only until the next one is written; none where there are no rows."""
    path = folder / "copy.parquet"
    groups = _groups(rows.batches)
    group = next(groups, None)
    while group is not None:
        with pyarrow.parquet.ParquetWriter(path, distinct(rows.schema), compression="zstd") as writer:
            while group is not None and path.stat().st_size < FILE_BYTES:
                writer.write_table(group, GROUP_ROWS)
                group = next(groups, None)
        yield path


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield rows by the row group, however many come at once."""
    waiting, count, size = list[pa.RecordBatch](), 0, 0
    for batch in batches:
        for start in range(0, batch.num_rows, GROUP_ROWS):
            part = batch.slice(start, GROUP_ROWS)
            if waiting and (count + part.num_rows > GROUP_ROWS or size >= GROUP_BYTES):
                yield pa.Table.from_batches(waiting)
                waiting, count, size = [], 0, 0
            waiting.append(part)
            count, size = count + part.num_rows, size + part.nbytes
    if waiting:
        yield pa.Table.from_batches(waiting)
