"""Rows that are held at once: each of a file exactly once and in order, whatever their widths and the bounds."""

from __future__ import annotations

import io
import json
import tracemalloc
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_scorer.decisions.shards import Piece, Shard, cut
from headrace_scorer.decisions.specs import Format
from headrace_scorer.engine.inputs import csv_files, files
from headrace_scorer.engine.inputs.files import chunks, described
from headrace_scorer.engine.inputs.rows import Bounds, Unreadable
from hypothesis import given, settings
from hypothesis import strategies as st

WIDTHS = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 3000)), min_size=1, max_size=120)


def opened(content: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(content))  # pyright: ignore[reportArgumentType]


def written(table: pa.Table, format_: Format, group_rows: int) -> bytes:
    file = io.BytesIO()
    if format_ is Format.PARQUET:
        pq.write_table(table, file, row_group_size=group_rows)
    elif format_ is Format.ARROW:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=group_rows)
    else:
        file.writelines(json.dumps(row).encode() + b"\n" for row in table.to_pylist())
    return file.getvalue()


@settings(deadline=None, max_examples=40)
@given(
    widths=WIDTHS,
    format_=st.sampled_from([Format.PARQUET, Format.ARROW, Format.JSONL]),
    group_rows=st.integers(1, 130),
    shard_rows=st.integers(1, 130),
    most=st.builds(Bounds, st.integers(1, 130), st.integers(1, 20_000)),
    piecewise=st.booleans(),
)
def test_each_row_comes_once_and_in_order_with_its_number(
    widths: list[int], format_: Format, group_rows: int, shard_rows: int, most: Bounds, piecewise: bool
):
    texts = [f"{at}{'x' * width}" for at, width in enumerate(widths)]
    content = written(pa.table({"a": texts, "b": range(len(texts))}), format_, group_rows)
    found = described(opened(content), format_)
    numbers, rows = list[int](), list[tuple[str, int]]()
    with patch.object(files, "_MAX_GROUP_BYTES", 0 if piecewise else 1 << 30):
        for shard in cut([Piece("k", "e", len(content), found.group_rows)], shard_rows):
            for one in chunks(opened(content), format_, shard, ["a", "b"], dict(found.types), most):
                assert 0 < one.table.num_rows <= most.rows
                numbers += one.numbers.tolist()
                rows += zip(*one.table.to_pydict().values(), strict=True)
    assert numbers == list(range(len(texts)))
    assert rows == list(zip(texts, numbers, strict=True))


@settings(deadline=None, max_examples=60)
@given(
    lines=st.lists(st.sampled_from(["1,x", "1,x,y", "oops,x", "1"]), min_size=1, max_size=60),
    many=st.sampled_from([1, 200]),
    most_rows=st.integers(1, 500),
)
def test_each_row_of_csv_is_read_once_or_rejected_once_and_in_order(lines: list[str], many: int, most_rows: int):
    lines *= many
    content = "".join(f"{line}\n" for line in ["a,b", *lines]).encode()
    types, most = {"a": "int64", "b": "string"}, Bounds(most_rows, 1 << 20)
    with patch.object(csv_files, "_BLOCK_BYTES", 1 << 11):
        found = list(chunks(opened(content), Format.CSV, Shard(0, "k", "e", 9), ["a", "b"], types, most))
    assert all(len(one.numbers) == one.table.num_rows <= most.rows for one in found)
    read = [number for one in found for number in one.numbers.tolist()]
    assert read == [at for at, line in enumerate(lines) if line == "1,x"]
    parts = [sorted([*one.numbers.tolist(), *(row.row for row in one.rejected)]) for one in found]
    assert [number for part in parts for number in part] == list(range(len(lines)))


def test_rows_of_csv_that_are_none_of_its_table_are_not_all_held(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(csv_files, "_MOST_MALFORMED", 1000)
    shard, types, most = Shard(0, "k", "e", 9), {"a": "int64"}, Bounds(100, 1 << 20)
    with pytest.raises(Unreadable, match="Expected 1 columns, got 2"):
        list(chunks(opened(b"a\n" + b"1,2\n" * 2000), Format.CSV, shard, ["a"], types, most))
    scattered = b"a\n" + b"1,2\n1\n" * 2000
    with patch.object(csv_files, "_BLOCK_BYTES", 1 << 10):
        found = list(chunks(opened(scattered), Format.CSV, shard, ["a"], types, most))
    assert sum(len(one.rejected) for one in found) == sum(one.table.num_rows for one in found) == 2000


@pytest.mark.parametrize("column", [[[0.5] * 4096] * 512, [["text"] * 4096] * 512])
def test_lists_that_repeat_a_value_are_held_by_what_they_take_and_not_by_how_they_are_stored(column: list[list]):
    content = written(pa.table({"a": column}), Format.PARQUET, 512)
    (shard,) = cut([Piece("k", "e", len(content), (512,))], 512)
    most = Bounds(65_536, 1 << 20)
    tables = [one.table for one in chunks(opened(content), Format.PARQUET, shard, ["a"], {}, most)]
    assert sum(one.num_rows for one in tables) == 512
    assert max(one.nbytes for one in tables) <= 2.2 * most.size_bytes


@pytest.mark.parametrize("format_", [Format.PARQUET, Format.ARROW])
def test_texts_that_a_dictionary_repeats_are_held_as_often_as_they_are_there(format_: Format):
    texts = pa.array(["x" * 10_000, "y", None] * 1000).dictionary_encode()
    content = written(pa.table({"a": texts}), format_, 3000)
    (shard,) = cut([Piece("k", "e", len(content), (3000,))], 3000)
    most = Bounds(65_536, 1 << 20)
    tables = [one.table for one in chunks(opened(content), format_, shard, ["a"], {}, most)]
    assert [text for one in tables for text in one["a"].to_pylist()] == texts.to_pylist()
    assert max(one["a"].cast(pa.string()).nbytes for one in tables) <= 1.1 * most.size_bytes


@pytest.mark.parametrize("values", [list(range(1000, 2000)), [at / 10 for at in range(1000)], ["ab"] * 1000])
def test_lines_of_short_values_are_held_by_what_their_objects_take(values: list):
    content, most = written(pa.table({"a": [values] * 400}), Format.JSONL, 1), Bounds(65_536, 1 << 20)
    tracemalloc.start()
    kept = json.loads(content.splitlines()[0])
    row_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    shard, types = cut([Piece("k", "e", len(content))], 1)[0], dict(described(opened(content), Format.JSONL).types)
    found = [one.table.num_rows for one in chunks(opened(content), Format.JSONL, shard, ["a"], types, most)]
    assert (kept["a"], sum(found)) == (values, 400)
    assert (max(found) - 1) * row_bytes <= 1.1 * most.size_bytes
