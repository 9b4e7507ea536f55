"""Tables whose bytes are damaged, and who reads them: run as a program, so that a crash is seen as one.

python -m tests.kit.hostile.damaged_tables READER EXAMPLES
"""

from __future__ import annotations

import io
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from headrace_client.cli.answer_files import _open_parquet
from headrace_client.errors import HeadraceError
from headrace_monitor.judge.references.columns import monitored_columns
from headrace_monitor.judge.references.reference_files import RefusedError, freeze_file
from headrace_observe.operations.monitor import QueryAnswer
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Format, Location
from headrace_scorer.engine import results
from headrace_scorer.engine.inputs.files import chunks, described
from headrace_scorer.engine.inputs.rows import Bounds, Unreadable
from headrace_scorer.engine.objects import Listed
from headrace_scorer.engine.protocol import Failed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.monitor.predictions import KnownContracts, contract, spec

ROWS = 64
# What else such a process holds, and no file has.
SECRET = b"X-Amz-Signature=0123456789abcdef"
TABLE = pa.table(
    {
        "n": pa.array(range(ROWS)),
        "s": [f"text-{at % 7}" for at in range(ROWS)],
        "l": [[1.0 * at] * (at % 3) for at in range(ROWS)],
        "f": pa.array([[1.0, 2.0]] * ROWS, pa.list_(pa.float32(), 2)),
        "d": pa.array([f"c{at % 5}" for at in range(ROWS)]).dictionary_encode(),
        "b": [at % 2 == 0 for at in range(ROWS)],
    }
)
_CONTRACT = contract(
    {"n": spec("INT64"), "s": spec("BYTES"), "f": spec("FP32", 2), "d": spec("BYTES"), "b": spec("BOOL")},
    {"scores": spec("FP32", 2, columns=["no", "yes"])},
)
JUDGED = monitored_columns(KnownContracts().add("m", "v1", _CONTRACT))
Read = Callable[[bytes], Iterator[pa.Table]]


def arrow_file(table: pa.Table, compression: str | None = None) -> bytes:
    """Return a table as a file of Arrow's own format."""
    file = io.BytesIO()
    with pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, ROWS // 2)
    return file.getvalue()


def arrow_stream(table: pa.Table) -> bytes:
    """Return a table as a stream of Arrow's own format."""
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, ROWS // 2)
    return file.getvalue()


def parquet_file(table: pa.Table, compression: str = "none") -> bytes:
    """Return a table as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=ROWS // 2, compression=compression)
    return file.getvalue()


def with_last_offset(content: bytes, lengths: Sequence[int], last: int) -> bytes:
    """Return a file with a text column of such lengths, the last of which ends elsewhere."""
    offsets = [sum(lengths[:at]) for at in range(len(lengths) + 1)]
    before, after = (struct.pack(f"<{len(offsets)}i", *offsets[:-1], end) for end in (offsets[-1], last))
    assert content.count(before) == 1
    return content.replace(before, after)


def with_fewer_levels(content: bytes, column: str) -> bytes:
    """Return a Parquet file whose footer says that a column has no nulls, and counts them all the same."""
    name = bytes([0x18, len(column)]) + column.encode()
    before = b"\x25\x02" + name  # repetition_type: OPTIONAL
    assert content.count(before) == 1
    return content.replace(before, b"\x25\x00" + name)  # REQUIRED


def buffered(content: bytes) -> io.BufferedReader:
    """Return content as an object in S3 is read."""
    return io.BufferedReader(io.BytesIO(content))  # pyright: ignore[reportArgumentType]


def scored(content: bytes, format_: Format) -> Iterator[pa.Table]:
    """Read a file as a shard of a job's input."""
    found = described(buffered(content), format_)
    names = [one.name for one in found.columns if one.name in TABLE.column_names]
    shard = Shard(0, "k", "e", len(content), 0, len(found.group_rows))
    for one in chunks(buffered(content), format_, shard, names, {}, Bounds(10, 1 << 20)):
        yield one.table


def published(content: bytes) -> Iterator[pa.Table]:
    """Read a file as results that a job wrote."""
    at = Location("tables", "part-0.parquet")

    class Held:
        def listed(self, _: Location) -> list[Listed]:
            return [Listed(at.prefix, "e", len(content))]

        def opened(self, *_: object) -> io.BufferedReader:
            return buffered(content)

    held: Any = Held()
    yield from results.batches(held, at, TABLE.column_names)


def frozen(content: bytes) -> Iterator[pa.Table]:
    """Read a file as a reference of the monitor's."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        freeze_file(file.name, JUDGED, _CONTRACT)
    yield from ()


def queried(content: bytes) -> Iterator[pa.Table]:
    """Read a stream as the answer of a query."""
    yield QueryAnswer(content, None, truncated=False).table()  # pyright: ignore[reportArgumentType]


def uploaded(content: bytes) -> Iterator[pa.Table]:
    """Read a file as answers that the CLI uploads."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        for _ in _open_parquet(Path(file.name), "s").batches(["n"]):
            pass
    yield from ()


_PLAIN = TABLE.drop_columns(["l"])
READERS: dict[str, tuple[bytes, Read]] = {
    "job-arrow": (arrow_file(TABLE), lambda content: scored(content, Format.ARROW)),
    "job-arrow-lz4": (arrow_file(TABLE, "lz4"), lambda content: scored(content, Format.ARROW)),
    "job-parquet": (parquet_file(TABLE), lambda content: scored(content, Format.PARQUET)),
    "job-parquet-zstd": (parquet_file(TABLE, "zstd"), lambda content: scored(content, Format.PARQUET)),
    "results": (parquet_file(TABLE), published),
    "reference": (parquet_file(_PLAIN), frozen),
    "query": (arrow_stream(TABLE), queried),
    "answers": (parquet_file(TABLE.select(["s", "n"])), uploaded),
}
# What each may raise of a file: typed, and shown to who gave it.
_REFUSED = (Unreadable, Failed, RefusedError, HeadraceError)


def main() -> None:
    """Read a file with flipped bits, so many times, and print how often it was read and refused."""
    content, read = READERS[sys.argv[1]]
    refused = (*_REFUSED, pa.ArrowException, OSError, UnicodeDecodeError) if sys.argv[1] == "query" else _REFUSED
    beside, counted = pa.array([SECRET * 64] * 256), Counter[str]()
    flip = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 7))

    @settings(
        *(), max_examples=int(sys.argv[2]), derandomize=True, database=None, deadline=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )  # fmt: skip
    @given(st.lists(flip, min_size=1, max_size=4))
    def once(flips: list[tuple[int, int]]) -> None:
        damaged = bytearray(content)
        for at, bit in flips:
            damaged[at] ^= 1 << bit
        try:
            for table in read(bytes(damaged)):
                table.validate(full=True)
                assert SECRET.decode() not in str(table.to_pydict())
            counted["read"] += 1
        except refused:
            counted["refused"] += 1

    once()
    assert len(beside) == 256
    sys.stdout.write(f"{counted['read']} {counted['refused']}\n")


if __name__ == "__main__":
    main()
