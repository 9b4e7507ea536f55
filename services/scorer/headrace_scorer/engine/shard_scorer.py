"""Scoring one shard: rows in, a file of results and one of rejected rows out, the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from headrace_runtime.contract import ELEMENT_BYTES, Contract

from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Location, TensorColumns, format_of
from headrace_scorer.engine.batches import CANDIDATES, BatchRunner
from headrace_scorer.engine.expressions import Expressions
from headrace_scorer.engine.inputs.files import chunks
from headrace_scorer.engine.inputs.rows import Bounds, Chunk, Rejected
from headrace_scorer.engine.messages import ShardResult, Work
from headrace_scorer.engine.objects import Objects, OutputTaken
from headrace_scorer.engine.tensors import Faults, Tensor, column_of, tensor_of, type_of

T = TypeVar("T")
# Rows that are held at once, and that a row group of the results has; fewer where their tensors, or what is read for
# them, are larger than this.
CHUNK_ROWS, CHUNK_BYTES = 65_536, 64 << 20
# Of a text, whose length no contract has.
_TEXT_BYTES = 64


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read and written. read: columns of the input. types: of files that do not declare them."""

    tensors: tuple[TensorColumns, ...]
    read: tuple[str, ...]
    types: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sampled:
    """What scoring the first rows of a shard took. read_bytes: of its object, as far as it was read."""

    rows: int
    wall_s: float
    cpu_s: float
    read_bytes: int


def bounds_of(contract: Contract) -> Bounds:
    """Return how many rows of a version are held at once. Variable dimensions count as one."""
    tensors = (*contract.inputs, *contract.outputs)
    row_bytes = sum(
        math.prod(max(1, size) for size in spec.row_shape) * ELEMENT_BYTES.get(spec.datatype, _TEXT_BYTES)
        for spec in tensors
    )
    return Bounds(max(1, min(CHUNK_ROWS, CHUNK_BYTES // max(1, row_bytes))), CHUNK_BYTES)


class ShardScorer:
    """Scores shards of one job with one loaded model. Not for several threads."""

    def __init__(self, work: Work, columns: Columns, folder: Path) -> None:
        self._work, self._columns, self._folder = work, columns, folder
        self._contract = work.serving_contract()
        self._bounds = bounds_of(self._contract)
        self._objects = Objects(work.access)
        self._derived = Expressions(work.spec.derived)
        self._outputs = Expressions(work.spec.outputs)
        self._runner = BatchRunner(work, self._contract, [one.tensor for one in columns.tensors], folder)

    def load(self) -> None:
        """Fetch the model, verify and load it, or find who has it. Raises ArtifactError, LoadError, PoolAway."""
        self._runner.load()

    def measured(self, shard: Shard) -> int:
        """Return how many rows the model takes at once the fastest, on the first rows of a shard."""
        if (rows := self._runner.fixed_rows) is not None:
            return rows
        for chunk in self._chunks(shard):
            faults = Faults(chunk.table.num_rows)
            tensors = self._tensors(chunk.table, faults)
            rows = np.flatnonzero(faults.good)
            if len(rows):
                return self._runner.fastest(tensors, rows)
        return CANDIDATES[0]

    def score(self, shard: Shard, batch_rows: int) -> ShardResult:
        """Score a shard and write its results, unless they are there. Raises what its parts raise."""
        at = self._work.output.below(f"{shard.file}.parquet")
        if (there := self._objects.metadata(at)) is not None:
            return _result_of(shard, at, there)
        began = time.process_time()
        with TemporaryDirectory(dir=self._folder) as folder:
            file, rejected_file = Path(folder, "results"), Path(folder, "rejected")
            rows, rejected = self._write(shard, batch_rows, file, rejected_file)
            metadata = {"rows": str(rows), "rejected": str(rejected), "sha256": _sha256(file)}
            if rejected:
                # Before the results, so that their readers find the rejected rows too. Named by digest: a batcher may
                # give another reason in the next attempt, and a lost attempt leaves only this file.
                digest = _sha256(rejected_file)
                below = self._work.output.below("_rejected", f"{shard.file}-{digest[:16]}.jsonl")
                metadata |= {"rejected-key": below.prefix, "rejected-sha256": digest}
                self._objects.create(below, rejected_file, {"sha256": digest})
            metadata |= {"size": str(file.stat().st_size)}  # as `create` does
            try:
                self._objects.create(at, file, metadata)
            except OutputTaken:
                # An actor that was abandoned but still ran wrote first; answers of another machine may differ in their
                # last bits. The stored object counts.
                there = self._objects.metadata(at)
                if there is None or not metadata.keys() - {"rejected-key", "rejected-sha256"} <= there.keys():
                    raise
                metadata = there
        return _result_of(shard, at, metadata, time.process_time() - began)

    def sampled(self, shard: Shard, batch_rows: int, most_s: float) -> Sampled:
        """Score the first rows of a shard as `score` does, for some seconds; nothing of it is uploaded."""
        rows, began, worked = 0, time.perf_counter(), time.process_time()
        with self._opened(shard) as file, TemporaryDirectory(dir=self._folder) as folder:
            writer: Any = None
            for chunk in self._chunks_of(file, shard):
                results, refused = self._scored(chunk, batch_rows)
                rows += results.num_rows + len(refused)
                if results.num_rows:
                    writer = writer or _writer(Path(folder, "results"), results.schema)
                    writer.write_table(_as(writer.schema, results), CHUNK_ROWS)
                if time.perf_counter() - began > most_s:
                    break
            if writer is not None:
                writer.close()
            read = min(file.tell(), shard.size_bytes)
        return Sampled(rows, time.perf_counter() - began, time.process_time() - worked, read)

    def _write(self, shard: Shard, batch_rows: int, file: Path, rejected_file: Path) -> tuple[int, int]:
        rows, rejected, schema = 0, 0, pa.schema([])
        writer: Any = None
        with rejected_file.open("w", encoding="utf-8") as lines:
            for chunk in ahead(self._chunks(shard)):
                results, refused = self._scored(chunk, batch_rows)
                rows, rejected = rows + results.num_rows + len(refused), rejected + len(refused)
                for one in sorted(refused, key=lambda one: one.row):
                    line = {"object": shard.key, "row": one.row, "column": one.column, "reason": one.reason}
                    lines.write(json.dumps(line, ensure_ascii=False) + "\n")
                schema = results.schema
                if results.num_rows:
                    # Not by rows that are all rejected: of outputs that vary only answers say what they have.
                    writer = writer or _writer(file, schema)
                    writer.write_table(_as(writer.schema, results), CHUNK_ROWS)
        (writer or _writer(file, schema)).close()
        return rows, rejected

    def _chunks(self, shard: Shard) -> Generator[Chunk, None, None]:
        with self._opened(shard) as file:
            yield from self._chunks_of(file, shard)

    def _opened(self, shard: Shard) -> io.BufferedReader:
        return self._objects.opened(self._work.spec.input.bucket, shard.key, shard.etag, shard.size_bytes)

    def _chunks_of(self, file: io.BufferedReader, shard: Shard) -> Iterator[Chunk]:
        format_ = format_of(shard.key, self._work.spec.format)
        assert format_ is not None
        return chunks(file, format_, shard, self._columns.read, self._columns.types, self._bounds)

    def _scored(self, chunk: Chunk, batch_rows: int) -> tuple[pa.Table, list[Rejected]]:
        """Return the results of a chunk, and its rejected rows."""
        faults = Faults(chunk.table.num_rows)
        table = self._with_derived(chunk.table, faults)
        tensors = self._tensors(table, faults, derived=True)
        outputs = self._runner.run(tensors, batch_rows, faults)
        columns = {name: _kept(table.column(name), faults) for name in self._work.spec.keep}
        answered = {
            spec.name: column_of(spec, [of[at] for of in outputs]) if outputs else pa.array([], type_of(spec))
            for at, spec in enumerate(self._contract.outputs)
        }
        if not self._work.spec.outputs:
            return pa.table(columns | answered), self._rejected(chunk, faults)
        later = Faults(int(faults.good.sum()))
        inputs = pa.table({name: _kept(table.column(name), faults) for name in table.column_names} | answered)
        computed = self._outputs.computed(inputs, later)
        whole = pa.table(columns | {name: computed.column(name) for name in computed.column_names})
        rows = np.flatnonzero(faults.good)
        for at, fault in later.found.items():
            faults.found[int(rows[at])] = fault
        return whole.filter(pa.array(later.good)), self._rejected(chunk, faults)

    def _with_derived(self, table: pa.Table, faults: Faults) -> pa.Table:
        derived = self._derived.computed(table, faults)
        for name in derived.column_names:
            table = table.append_column(name, derived.column(name))
        return table

    def _tensors(self, table: pa.Table, faults: Faults, *, derived: bool = False) -> list[Tensor]:
        if not derived:
            table = self._with_derived(table, faults)
        specs = {spec.name: spec for spec in self._contract.inputs}
        return [tensor_of(table, one, specs[one.tensor], faults) for one in self._columns.tensors]

    def _rejected(self, chunk: Chunk, faults: Faults) -> list[Rejected]:
        own = [Rejected(int(chunk.numbers[at]), column, reason) for at, (column, reason) in faults.found.items()]
        return [*chunk.rejected, *own]


def _kept(column: pa.ChunkedArray, faults: Faults) -> pa.ChunkedArray:
    """Return the values of rows without a fault; without a copy where all are."""
    return column if faults.good.all() else column.filter(pa.array(faults.good))


def _as(schema: pa.Schema, results: pa.Table) -> pa.Table:
    """Return results as those before them. Of an output that varies, rows that all have one value are lists there."""
    for at, field in enumerate(schema):
        column = results.column(at)
        if pa.types.is_list(field.type) and column.type == field.type.value_type:
            offsets = pa.array(np.arange(len(column) + 1), pa.int32())
            results = results.set_column(at, field.name, pa.ListArray.from_arrays(offsets, column.combine_chunks()))
    return results.cast(schema)


def _writer(file: Path, schema: pa.Schema) -> Any:
    """Return what writes results. Scores hardly repeat: no dictionary is made of them."""
    others: Any = [one.name for one in schema if not pa.types.is_floating(one.type)]
    return pyarrow.parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=others)


def _result_of(shard: Shard, at: Location, metadata: dict[str, str], cpu_s: float = 0.0) -> ShardResult:
    return ShardResult(
        number=shard.number,
        rows=int(metadata["rows"]),
        rejected=int(metadata["rejected"]),
        key=at.prefix,
        sha256=metadata["sha256"],
        size_bytes=int(metadata["size"]),
        rejected_key=metadata.get("rejected-key", ""),
        rejected_sha256=metadata.get("rejected-sha256", ""),
        cpu_s=cpu_s,
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Yield what a generator does, one of them made in a thread while the one before is with the caller.

    At most two are held. What the generator raises is raised where its item would have come.
    """
    with closing(items), ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item
