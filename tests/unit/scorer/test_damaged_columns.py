"""Files whose buffers are not what they say: refused by the column, before a value is read that is not the file's."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_observe.operations.monitor import QueryAnswer
from headrace_scorer.decisions.specs import Format
from headrace_scorer.engine.inputs.files import sizes_of
from headrace_scorer.engine.inputs.rows import Unreadable
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.sources.streams import stream_of
from headrace_servicekit.columns import UnsoundColumnError, sound, sound_table

from tests.kit.hostile.damaged_tables import (
    READERS,
    arrow_file,
    arrow_stream,
    parquet_file,
    scored,
    with_fewer_levels,
    with_last_offset,
)

TEXTS = pa.table({"n": [1, 2, 3], "s": ["x", "yz", "xyz"]})
LENGTHS = [1, 2, 3]
# Into what follows in memory, into pages that are not there, and to before the text.
ENDS = pytest.mark.parametrize("end", [4_000, 900_000, 2_000_000_000, -5])


@ENDS
def test_an_offset_beyond_its_buffer_is_refused_by_the_column_and_nothing_of_it_is_read(end: int) -> None:
    content = with_last_offset(arrow_file(TEXTS), LENGTHS, end)
    with pytest.raises(Unreadable, match="column 's' is damaged"):
        list(scored(content, Format.ARROW))


@ENDS
def test_a_querys_answer_with_such_an_offset_is_no_table(end: int) -> None:
    content = with_last_offset(arrow_stream(TEXTS), LENGTHS, end)
    with pytest.raises(pa.ArrowInvalid, match="Column 1"):
        QueryAnswer(content, None, truncated=False).table()  # pyright: ignore[reportArgumentType]


def test_what_a_source_gives_is_looked_at_inside_what_turns_its_errors_into_failures() -> None:
    content = with_last_offset(arrow_stream(TEXTS), LENGTHS, 4_000)

    class Errors:
        def __enter__(self) -> None: ...

        def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
            if isinstance(error, UnsoundColumnError):
                raise Failed("SOURCE_UNUSABLE", str(error))

    with pytest.raises(Failed, match="column 's' is damaged"):
        list(stream_of(pa.ipc.open_stream(content), Errors).batches)


def _texts(offsets: list[int]) -> pa.Array:
    """Return texts with such offsets; Arrow looks at the last one when it is given them, and not later."""
    raw = bytearray(4 * len(offsets))
    texts = pa.Array.from_buffers(pa.string(), len(offsets) - 1, [None, pa.py_buffer(raw), pa.py_buffer(b"xyz")])
    struct.pack_into(f"<{len(offsets)}i", raw, 0, *offsets)
    return texts


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.DictionaryArray.from_arrays(pa.array([0, 7]), pa.array(["x"]), safe=False), id="an index"),
        pytest.param(pa.DictionaryArray.from_arrays(pa.array([0, 1]), _texts([0, 900, 3]), safe=False), id="a word"),
        pytest.param(pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), _texts([0, 900, 3])), id="in a list"),
        pytest.param(pa.StructArray.from_arrays([_texts([0, 900, 3])], ["a"]), id="in a structure"),
        pytest.param(_texts([0, 3, 1]), id="offsets that go back"),
    ],
)
def test_every_level_of_a_column_is_looked_at(column: pa.Array) -> None:
    with pytest.raises(UnsoundColumnError, match="column 'c' is damaged"):
        sound(pa.RecordBatch.from_arrays([column], ["c"]))


def test_a_footer_that_contradicts_itself_is_refused_and_ends_no_process() -> None:
    content = with_fewer_levels(parquet_file(pa.table({"n": [1, 2, 3]})), "n")
    with pytest.raises(OSError, match="histogram"):
        sizes_of(pq.ParquetFile(io.BytesIO(content)).metadata, [0], ["n"])
    with pytest.raises(Unreadable, match="histogram"):
        list(scored(content, Format.PARQUET))


def test_sound_tables_come_back_as_they_were() -> None:
    (batch,) = TEXTS.to_batches()
    assert sound(batch) is batch
    assert sound_table(TEXTS) is TEXTS
    assert sound(pa.RecordBatch.from_pylist([], schema=pa.schema([]))).num_rows == 0


# Of each buffer Arrow then finds out when it is freed whether bytes were written behind it, and what was freed or never
# written is no text of anyone. ASan itself would need a pyarrow built for it.
CHECKED = {"ARROW_DEBUG_MEMORY_POOL": "trap", "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_PERTURB_": "165"}


def checked(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with checks of memory."""
    environment = {**os.environ, **CHECKED}
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=False, timeout=250
    )


def test_a_byte_written_behind_a_buffer_of_arrows_ends_the_process() -> None:
    write = "import ctypes, pyarrow as pa; b = pa.allocate_buffer(128); ctypes.memset(b.address, 0, {}); del b"
    assert checked("-c", write.format(128)).returncode == 0
    assert checked("-c", write.format(129)).returncode in (-signal.SIGTRAP, -signal.SIGILL, -signal.SIGABRT)


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS)
def test_no_flipped_bit_of_a_file_ends_its_reader_or_gives_it_what_is_not_the_files(reader: str) -> None:
    done = checked("-m", "tests.kit.hostile.damaged_tables", reader, "1000")
    assert done.returncode == 0, done.stderr[-3000:]
    read, refused = map(int, done.stdout.split())
    assert read
    assert refused
