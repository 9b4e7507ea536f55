"""Ten thousand tiny files, and files that are larger than what a worker may hold."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from headrace.scorer.v1 import scorer_pb2 as pb

from tests.kit.models.onnx_models import linear
from tests.kit.scorer.service import ScorerRig, created, features, over, parquet, register, scorer

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(1800)]

FILES, FILE_ROWS = 10_000, 3
NAMES = tuple(f"f{at}" for at in range(32))
BATCH_ROWS = 100_000
LARGE_BYTES = 1 << 30
# What a worker may have to itself, libraries and a loaded model included, whatever the size of a file.
MOST_BYTES = 600 << 20
# Of the largest file, and of a text in each of its rows.
LARGEST_BYTES, TEXT_BYTES, LARGEST_GROUP_ROWS = 10 << 30, 16 << 10, 20_000
PART_BYTES = 64 << 20


async def test_ten_thousand_tiny_files_are_scored_each_once(scoring: ScorerRig):
    contents = [parquet(features(FILE_ROWS, seed=at)) for at in range(10)]
    client = scoring.client

    def put(numbers: range) -> None:
        for at in numbers:
            client.put_object(Bucket=scoring.s3.bucket, Key=f"in/{at:05}.parquet", Body=contents[at % 10])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put, [range(first, FILES, 8) for first in range(8)]))
    async with scorer(scoring) as (_, stub):
        job = await over(stub, (await created(stub, scoring.spec())).name, within=1500)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert (job.progress.shards_done, job.manifest.rows_out) == (FILES, FILES * FILE_ROWS)


def batch(rng: np.random.Generator) -> pa.RecordBatch:
    values = rng.normal(size=(BATCH_ROWS, len(NAMES))).astype(np.float32)
    return pa.record_batch({name: values[:, at] for at, name in enumerate(NAMES)})


def one_row_group(path: Path) -> int:
    rng = np.random.default_rng(1)
    rows = -(-LARGE_BYTES // (len(NAMES) * 4 * BATCH_ROWS)) * BATCH_ROWS
    table = pa.Table.from_batches([batch(rng) for _ in range(rows // BATCH_ROWS)])
    pq.write_table(table, path, row_group_size=rows, compression="none", use_dictionary=False)
    assert pq.ParquetFile(path).num_row_groups == 1
    return rows


def csv(path: Path) -> int:
    rows, one = 0, batch(np.random.default_rng(1))
    with pyarrow.csv.CSVWriter(path, one.schema) as writer:
        while not path.exists() or path.stat().st_size < LARGE_BYTES:
            writer.write_batch(one)
            rows += BATCH_ROWS
    return rows


class Upload(io.RawIOBase):
    """What is written becomes an object part by part, and is nowhere as a whole."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._at = {"Bucket": bucket, "Key": key}
        self._client, self._parts, self._held = client, list[dict[str, Any]](), bytearray()
        self._at["UploadId"] = client.create_multipart_upload(**self._at)["UploadId"]

    def writable(self) -> bool:
        return True

    def write(self, some: Any) -> int:
        self._held += some
        if len(self._held) >= PART_BYTES:
            self._send()
        return len(some)

    def done(self) -> None:
        self._send()
        self._client.complete_multipart_upload(**self._at, MultipartUpload={"Parts": self._parts})

    def _send(self) -> None:
        number = len(self._parts) + 1
        part = self._client.upload_part(**self._at, PartNumber=number, Body=bytes(self._held))
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self._held.clear()


def put_largest(scoring: ScorerRig, key: str) -> int:
    """Write a file of 10 GiB, most of it texts that do not compress; return its rows."""
    upload, rows = Upload(scoring.client, scoring.s3.bucket, key), 0
    texts = [os.urandom(TEXT_BYTES // 2).hex() for _ in range(LARGEST_GROUP_ROWS)]
    one = features(LARGEST_GROUP_ROWS).append_column("text", pa.array(texts))
    with pq.ParquetWriter(pa.PythonFile(upload), one.schema, compression="none", use_dictionary=False) as writer:
        while rows * TEXT_BYTES < LARGEST_BYTES:
            writer.write_table(one, LARGEST_GROUP_ROWS)
            rows += one.num_rows
    upload.done()
    return rows


class Memory:
    """The most that a worker of a job has had to itself."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self.most = process, 0

    async def watch(self) -> None:
        while True:
            for one in psutil.Process(self._process.pid).children(recursive=True):
                try:
                    if "ShardActor" in " ".join(one.cmdline()):
                        found = one.memory_info()
                        self.most = max(self.most, found.rss - found.shared)
                except psutil.Error:
                    continue
            await asyncio.sleep(0.1)  # between two looks


@pytest.mark.parametrize(("write", "name"), [(one_row_group, "a.parquet"), (csv, "a.csv")])
async def test_a_file_that_is_larger_than_a_workers_memory_is_scored(
    scoring: ScorerRig, tmp_path: Path, write: Callable[[Path], int], name: str
):
    register(scoring, "v1", linear(len(NAMES)))
    rows = write(tmp_path / name)
    scoring.client.upload_file(str(tmp_path / name), scoring.s3.bucket, f"in/{name}")
    (tmp_path / name).unlink()
    spec: Any = scoring.spec(
        tensors=[pb.ScoringSpec.TensorColumns(tensor="features", columns=NAMES)], keep_columns=[], options=None
    )
    async with scorer(scoring) as (process, stub):
        memory = Memory(process)
        watching = asyncio.create_task(memory.watch())
        job = await over(stub, (await created(stub, spec)).name, within=1500)
        watching.cancel()
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert job.manifest.rows_out == rows
    assert 0 < memory.most < MOST_BYTES


@pytest.mark.soak
async def test_a_file_of_ten_gibibytes_is_scored_in_the_same_memory_whether_its_bytes_are_read_or_not(
    scoring: ScorerRig,
):
    rows = put_largest(scoring, "in/a.parquet")
    names = [f"y{at}" for at in range(4)]
    of_texts = [
        pb.ScoringSpec.ColumnExpression(column=name, expression=f"x{at} + length(text)")
        for at, name in enumerate(names)
    ]
    specs: list[Any] = [
        scoring.spec(options=None),
        scoring.spec(
            options=None,
            derived_columns=of_texts,
            tensors=[pb.ScoringSpec.TensorColumns(tensor="features", columns=names)],
        ),
    ]
    try:
        async with scorer(scoring) as (process, stub):
            for spec in specs:
                memory = Memory(process)
                watching = asyncio.create_task(memory.watch())
                job = await over(stub, (await created(stub, spec)).name, within=1500)
                watching.cancel()
                assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
                assert job.manifest.rows_out == rows
                assert 0 < memory.most < MOST_BYTES
    finally:
        scoring.client.delete_object(Bucket=scoring.s3.bucket, Key="in/a.parquet")
