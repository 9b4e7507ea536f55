"""Reference files that are made to harm their reader: refused by column, in a process that takes nobody with it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.judge.references import freezing_process
from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn
from headrace_monitor.judge.references.freezing_process import FreezingProcess

ROWS = 100
COLUMNS = (
    MonitoredColumn("age", "feature.age", "person", 0, "FP32", ColumnType.NUMERIC),
    MonitoredColumn("country", "feature.country", "country", 0, "BYTES", ColumnType.CATEGORICAL),
    MonitoredColumn("embedding", "feature.embedding", "embedding", None, "FP32", ColumnType.EMBEDDING, width=8),
)
GOOD = {"age": pa.array(np.arange(ROWS, dtype=float)), "country": pa.array(["a", "b"] * (ROWS // 2))}


def written(columns: dict[str, pa.Array], **options: object) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content, **options)  # type: ignore[arg-type]
    return content.getvalue()


def huge_strings() -> bytes:
    """A hundred gigabytes of text in a few kilobytes: each row is the same megabyte, which stands there once."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, dtype=np.int32)), pa.array(["x" * 10**6]))
    age = pa.array(np.zeros(len(text)))
    return written({"age": age, "country": text}, compression="zstd", store_schema=False)


def row_groups(doublings: int) -> bytes:
    """A file whose row groups are all the same bytes, counted again and again."""
    content = written({"age": pa.array(np.zeros(1_000_000))}, compression="zstd")
    metadata = pq.read_metadata(io.BytesIO(content))
    for _ in range(doublings):
        metadata.append_row_groups(metadata)
    footer = io.BytesIO()
    metadata.write_metadata_file(footer)
    pages = content[: -8 - int.from_bytes(content[-8:-4], "little")]
    return pages + footer.getvalue()[4:]


def nested(depth: int) -> bytes:
    kind: pa.DataType = pa.float32()
    for _ in range(depth):
        kind = pa.list_(kind)
    return written({"age": pa.nulls(ROWS, kind)})


def not_text() -> bytes:
    offsets = np.arange(0, 2 * ROWS + 1, 2, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"\xff\xfe" * ROWS)]
    return written({"country": pa.Array.from_buffers(pa.string(), ROWS, buffers)})


def damaged_page() -> bytes:
    content = bytearray(written(GOOD))
    content[40] ^= 0xFF
    return bytes(content)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "text that is none": (not_text, "column 'country' cannot be read"),
    "a time that no calendar has": (
        lambda: written({"country": pa.array([2**62] * ROWS, pa.date64())}), "column 'country' cannot be read",
    ),
    "a damaged page": (damaged_page, "column 'age' cannot be read"),
    "nested types": (lambda: nested(2000), "the file cannot be read as Parquet: .* too deeply nested"),
    "a footer that is none": (lambda: written(GOOD)[:-30] + b"\xff" * 22 + written(GOOD)[-8:], "the file cannot be"),
}  # fmt: skip


async def frozen(folder: Path, content: bytes, *, timeout_s: float = 60) -> str:
    """Return what is said of a file: why it is refused, or all that was frozen."""
    file = folder / "reference.parquet"
    await asyncio.to_thread(file.write_bytes, content)
    answer = await FreezingProcess(timeout_s=timeout_s)(file, COLUMNS, tensor_pb2.ServingContract())
    if isinstance(answer, str):
        return answer
    told = json.loads(answer)["is"]
    return told["refused"] if "refused" in told else answer.decode()


@pytest.mark.parametrize(("content", "why"), HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_file_is_refused_with_the_column_that_is_at_fault(tmp_path, content, why):
    assert re.search(why, await frozen(tmp_path, content()))


@pytest.mark.long
async def test_a_file_that_takes_for_ever_is_given_up_with_the_column_that_was_read(tmp_path):
    content = await asyncio.to_thread(row_groups, 14)
    assert len(content) < 4_000_000
    said = await frozen(tmp_path, content, timeout_s=4)
    # On a busy machine the reader may not have come to the column by then.
    assert re.match("(column 'age'|the file) could not be read within 4 s", said)


async def test_nothing_that_is_pickled_into_a_file_is_run(tmp_path):
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    evil = pickle.dumps(Evil())
    extension = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": evil}
    schema = pa.schema([pa.field("age", pa.float64(), metadata=extension)], metadata={b"pandas": evil})
    table = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([GOOD["age"]], schema=schema), table)
    assert '"rows":100' in await frozen(tmp_path, table.getvalue())
    assert not mark.exists()
    pickle.loads(evil)
    assert mark.exists(), "it would have been seen"


# Run in a process of its own, which a mistake in the reader may end: writes what each of many damaged files came to.
FUZZ = """
import io, json, random, sys
from headrace_servicekit.confinement import confine
from headrace_monitor.judge.references.reference_files import freeze_file
from headrace_monitor.judge.references.columns import columns_from_json
from headrace_monitor.judge.references.reference_tables import RefusedError
from headrace.tensor.v1 import tensor_pb2
path, columns, seeds = sys.argv[1], columns_from_json(sys.argv[2]), int(sys.argv[3])
good = open(path, "rb").read()
confine(3 << 30, 60, file_bytes=1 << 20, data_bytes=1 << 30)
for seed in range(seeds):
    draw = random.Random(seed)
    bad = bytearray(good)
    footer = len(bad) - 8 - int.from_bytes(bad[-8:-4], "little")
    for _ in range(draw.randint(1, 4)):
        bad[draw.randrange(footer if draw.random() < 0.8 else 4, len(bad) - 8)] = draw.randrange(256)
    with open(path, "wb") as file:
        file.write(bad)
    try:
        freeze_file(path, columns, tensor_pb2.ServingContract())
    except (RefusedError, MemoryError):
        continue
print("all")
"""


def test_footers_that_lie_raise_nothing_but_refusals(tmp_path):
    file = tmp_path / "reference.parquet"
    file.write_bytes(written(GOOD, compression="zstd"))
    columns = json.dumps([vars_of(column) for column in COLUMNS])
    alone = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        (sys.executable, "-c", FUZZ, str(file), columns, "400"),
        capture_output=True,
        text=True,
        env=os.environ | alone,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr[-2000:]) == ("all\n", "")


def vars_of(column: MonitoredColumn) -> dict[str, object]:
    return {name: getattr(column, name) for name in MonitoredColumn.__slots__}


# Started by a small process: what a forked child is said to have used begins at the memory of who forked it.
MEASURED = """
import resource, sys
from headrace_monitor.judge.references import freezing_process
process = freezing_process._start(sys.argv[1:])
said, _ = process.communicate(sys.stdin.buffer.read())
assert process.returncode == 0
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
print(said.decode())
"""


def test_a_bomb_takes_no_more_memory_than_a_container_has_beside_the_service(tmp_path):
    file = tmp_path / "reference.parquet"
    file.write_bytes(huge_strings())
    limits = map(str, (freezing_process.MEMORY_BYTES, freezing_process.DATA_BYTES, 60))
    done = subprocess.run(
        (sys.executable, "-c", MEASURED, "-m", "headrace_monitor.judge.references.reference_files", str(file), *limits),
        input=json.dumps({"columns": json.dumps([vars_of(one) for one in COLUMNS]), "contract": ""}),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    used_kib, said = done.stdout.split("\n", 1)
    assert "'country' needs too much memory" in said
    assert int(used_kib) < 1_400_000
