"""Carried-over answers: entities of the previous generation that this one lacks, in a separate file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from headrace_scorer.decisions.specs import Location
from headrace_scorer.engine.objects import Objects
from headrace_scorer.engine.publish_orders import Answered, UploadOrder
from headrace_scorer.engine.results import batches

pc: Any = pyarrow.compute
ENTITY, COMPUTED = "_entity", "_computed_us"


def kept_file(order: UploadOrder, objects: Objects, names: Sequence[str]) -> Location | None:
    """Write the file of carried-over answers unless it exists; return its location, None without a previous generation.

    A process that resumes a publish finds the first file, and so sends the same rows.
    """
    before = order.before
    if before is None:
        return None
    at = order.work.output.below("_published", f"{order.request_id.rsplit('/', 1)[-1]}-kept.parquet")
    if objects.metadata(at) is None:
        path = Path(order.folder, "kept.parquet")
        _write(order, before, objects, names, path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        objects.create(at, path, {"sha256": sha256})
    return at


def _write(order: UploadOrder, before: Answered, objects: Objects, names: Sequence[str], path: Path) -> None:
    oldest = order.answered.computed - order.spec.keep_for
    # On disk: fifty million entities do not fit in the memory of a process.
    with duckdb.connect(str(Path(order.folder, "entities.duckdb")), config={"threads": 1}) as database:
        database.execute("create table present (entity varchar)")
        for table in _rows(objects, order.answered, [order.answered.entity]):
            present = table.column(0).cast(pa.string())
            database.register("listed", pa.table({"entity": present}))
            database.execute("insert into present select entity from listed")
        writer = None
        for table in _dated(before, objects, names, oldest):
            database.register("earlier", table)
            gone = database.execute(
                f"select * from earlier anti join present on earlier.{ENTITY} = present.entity"
            ).to_arrow_table()
            if gone.num_rows:
                writer = writer or pyarrow.parquet.ParquetWriter(path, gone.schema, compression="zstd")
                writer.write_table(gone.cast(writer.schema))
        if writer is None:
            pyarrow.parquet.write_table(pa.table({}), path)
        else:
            writer.close()


def _dated(before: Answered, objects: Objects, names: Sequence[str], oldest: datetime) -> Iterator[pa.Table]:
    """Yield the rows of the generation before that are young enough: what it kept itself, and what its job computed."""
    if before.kept is not None:
        for table in batches(objects, before.kept, [ENTITY, *names, COMPUTED]):
            young = pc.greater_equal(table.column(COMPUTED), _us(oldest))
            yield table.filter(young)
    if before.computed >= oldest:
        for table in _rows(objects, before, [before.entity, *names]):
            entity = table.column(before.entity).cast(pa.string())
            dated = pa.table({ENTITY: entity} | {name: table.column(name) for name in names})
            yield dated.append_column(COMPUTED, pa.array([_us(before.computed)] * table.num_rows, pa.int64()))


def _rows(objects: Objects, answered: Answered, columns: Sequence[str]) -> Iterator[pa.Table]:
    for result in answered.results:
        yield from batches(objects, Location(answered.bucket, result.key), columns)


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)
