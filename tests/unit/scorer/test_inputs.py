"""Files as tables: types that are found by looking, and rows that cannot be read."""

import io
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Format
from headrace_scorer.engine.inputs import files, json_lines
from headrace_scorer.engine.inputs.files import chunks, described
from headrace_scorer.engine.inputs.json_lines import SAMPLE_LINES
from headrace_scorer.engine.inputs.rows import SAMPLE_BYTES, Bounds, Chunk, Unreadable
from headrace_scorer.engine.objects import StoreAway

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})


def opened(content: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(content))  # pyright: ignore[reportArgumentType]


def read(content: bytes, format_: Format, columns: list[str]) -> tuple[list[Chunk], dict[str, str]]:
    found = described(opened(content), format_)
    types, shard = dict(found.types), Shard(0, "k", "e", len(content), 0, len(found.group_rows))
    return list(chunks(opened(content), format_, shard, columns, types, Bounds(2, 1 << 20))), types


def arrow(table: pa.Table) -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return file.getvalue()


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=2)
    return file.getvalue()


@pytest.mark.parametrize(
    ("format_", "content"),
    [
        (Format.PARQUET, parquet(TABLE)),
        (Format.ARROW, arrow(TABLE)),
        (Format.CSV, b"a,b\n1,x\n2,y\n3,z\n"),
        (Format.JSONL, b'{"a": 1, "b": "x"}\n\n{"b": "y", "a": 2}\n{"a": 3, "b": "z"}\n'),
    ],
)
def test_every_format_gives_the_same_rows_with_their_numbers(format_: Format, content: bytes):
    found, _ = read(content, format_, ["a", "b"])
    whole = pa.concat_tables([one.table for one in found])
    assert whole.to_pydict() == TABLE.to_pydict()
    assert [int(number) for one in found for number in one.numbers] == [0, 1, 2]
    assert [one for each in found for one in each.rejected] == []


def test_rows_of_a_csv_file_that_cannot_be_read_are_rejected_by_number():
    # Longer than what is looked at for the types of columns.
    good = "".join(f"{at},{'x' * 100}\n" for at in range(20_000))
    assert len(good) > SAMPLE_BYTES
    content = f"a,b\n{good}oops,x\n1,2,3\n7,y\n".encode()
    found, types = read(content, Format.CSV, ["a"])
    assert types["a"] == "int64"
    rejected = {one.row: one.reason for each in found for one in each.rejected}
    assert rejected == {20_000: "'oops' is no int64", 20_001: "3 values where the header has 2"}
    assert int(found[-1].numbers[-1]) == 20_002
    assert sum(one.table.num_rows for one in found) == 20_001


def test_lines_that_are_no_objects_or_have_other_values_are_rejected_by_number():
    lines = ['{"a": 1.5}', "{", '"text"', '{"c": 1}', '{"a": 2}']
    # What stands below the lines that are looked at has other values.
    below = ['{"a": "seven"}', '{"a": 3}']
    content = "\n".join([*lines, *['{"a": 0.5}'] * SAMPLE_LINES, *below])
    found, types = read(content.encode(), Format.JSONL, ["a"])
    assert types["a"] == "double"
    rejected = {one.row: one.reason for each in found for one in each.rejected}
    last = len(lines) + SAMPLE_LINES
    assert rejected == {1: "is not a JSON object", 2: "is not a JSON object", last: "'seven' is no double"}
    values = pa.concat_tables([one.table for one in found]).column("a").to_pylist()
    assert (values[:3], values[-1]) == ([1.5, None, 2.0], 3.0)


def test_numbers_and_texts_under_one_name_are_texts():
    _, types = read(b'{"a": 1}\n{"a": "seven"}\n', Format.JSONL, ["a"])
    assert types == {"a": "string"}


@pytest.mark.parametrize("format_", [Format.PARQUET, Format.ARROW])
def test_a_file_without_its_end_is_unreadable(format_: Format):
    content = {Format.PARQUET: parquet, Format.ARROW: arrow}[format_](TABLE)
    for cut in (content[:-3], content[: len(content) // 2], b"", b"x" * 100):
        with pytest.raises(Unreadable):
            described(opened(cut), format_)


@pytest.mark.parametrize(("format_", "content"), [(Format.CSV, b""), (Format.CSV, b"a,b\n"), (Format.JSONL, b"\n\n")])
def test_a_file_without_rows_is_empty(format_: Format, content: bytes):
    assert described(opened(content), format_).empty


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none"])
def test_a_damaged_file_is_unreadable_wherever_the_damage_is(compression: str):
    file, refused = io.BytesIO(), 0
    pq.write_table(pa.table({"a": range(500), "b": [f"u{at}" for at in range(500)]}), file, compression=compression)
    whole = file.getvalue()
    for at in range(4, len(whole) - 8, max(61, len(whole) // 20)):
        try:
            read(whole[:at] + b"\xff" * 8 + whole[at + 8 :], Format.PARQUET, ["a", "b"])
        except Unreadable:
            refused += 1
    assert refused > 0


def test_a_header_that_is_no_text_is_unreadable():
    with pytest.raises(Unreadable, match="utf-8"):
        described(opened(b"a,\xff\n1,2\n"), Format.CSV)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        pytest.param("1" + "0" * 30, "double", id="a number of 31 digits"),
        pytest.param("1" + "0" * 400, "double", id="a number that no float holds"),
        pytest.param('"\\ud800"', "string", id="half of a surrogate pair"),
    ],
)
def test_a_value_that_no_column_can_have_costs_its_row_and_not_its_file(value: str, type_: str):
    good = '"x"' if type_ == "string" else "1"
    lines = "\n".join(f'{{"a": {one}}}' for one in (good, value, good))
    found, types = read(lines.encode(), Format.JSONL, ["a"])
    assert types == {"a": type_}
    there = [number for chunk in found for number in chunk.numbers.tolist()]
    rejected = [one.row for chunk in found for one in chunk.rejected]
    assert sorted(there + rejected) == [0, 1, 2]
    assert {0, 2} <= set(there)


class Away(io.RawIOBase):
    """A file in a store that goes away after its first bytes were read. The footer comes first."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at, self._reads = content, 0, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, len(self._content))[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._reads += 1
        if self._reads > 1:
            raise StoreAway("nobody answers")
        part = self._content[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def test_a_store_that_goes_away_while_a_file_is_read_is_not_called_damage():
    content = parquet(pa.table({"a": range(20_000)}))
    shard = Shard(0, "k", "e", len(content), 0, 2_000)
    with pytest.raises(StoreAway):
        list(chunks(io.BufferedReader(Away(content), 16), Format.PARQUET, shard, ["a"], {}, Bounds(2, 1 << 20)))


def test_a_row_group_that_is_too_large_to_be_held_has_the_same_rows_in_the_same_order(monkeypatch: pytest.MonkeyPatch):
    table = pa.table({"a": range(4_000), "b.c": [f"u{at}" for at in range(4_000)], "d": [[at] for at in range(4_000)]})
    content = parquet(table)
    shard = Shard(0, "k", "e", len(content), 0, 2_000)
    names = ["a", "b.c", "d"]

    def rows() -> pa.Table:
        return pa.concat_tables(
            one.table for one in chunks(opened(content), Format.PARQUET, shard, names, {}, Bounds(700, 1 << 20))
        )

    whole = rows()
    monkeypatch.setattr(files, "_MAX_GROUP_BYTES", 10)
    assert rows() == whole == table


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    fetched = 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self.fetched += count
        return count

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.fetched += len(found)
        return found


def test_no_byte_of_a_large_row_group_of_many_columns_is_fetched_twice(monkeypatch: pytest.MonkeyPatch):
    names = [f"c{at}" for at in range(100)]
    values = np.random.default_rng(1).normal(size=(20_000, len(names)))
    file = io.BytesIO()
    whole = pa.table({name: values[:, at] for at, name in enumerate(names)})
    pq.write_table(whole, file, use_dictionary=False, row_group_size=20_000, data_page_size=16 << 10)
    content = file.getvalue()
    monkeypatch.setattr(files, "_MAX_GROUP_BYTES", 4 << 20)
    counted: Any = Counted(content)
    shard = Shard(0, "k", "e", len(content), 0, 1)
    found = chunks(io.BufferedReader(counted, 4 << 20), Format.PARQUET, shard, names, {}, Bounds(5000, 64 << 20))
    assert pa.concat_tables(one.table for one in found) == whole
    assert counted.fetched < 1.5 * len(content)  # with the footer, which is asked for with what lies before it


@pytest.mark.parametrize("format_", [Format.PARQUET, Format.ARROW, Format.JSONL])
def test_wide_rows_are_held_by_their_bytes_and_narrow_ones_by_their_number(format_: Format):
    table = pa.table({"a": ["x" * 1000] * 200, "b": range(200)})
    if format_ is Format.JSONL:
        content = "".join(f'{{"a": "{"x" * 1000}", "b": {at}}}\n' for at in range(200)).encode()
    else:
        content = {Format.PARQUET: parquet, Format.ARROW: arrow}[format_](table)
    found = described(opened(content), format_)
    shard = Shard(0, "k", "e", len(content), 0, len(found.group_rows))

    def sizes(*columns: str) -> list[int]:
        types = {name: type_ for name, type_ in found.types if name in columns}
        made = chunks(opened(content), format_, shard, columns, types, Bounds(100, 20_000))
        tables = [one.table for one in made]
        assert [value for one in tables for value in one.column("b").to_pylist()] == list(range(200))
        return [one.num_rows for one in tables]

    assert max(sizes("a", "b")) <= 20
    assert sizes("b") == [100, 100] or format_ is Format.JSONL


def test_long_texts_that_a_column_repeats_are_not_written_out_at_once():
    texts = ["x" * 500_000, *["y"] * 999]
    file = io.BytesIO()
    pq.write_table(pa.table({"a": texts + texts[:1] * 1000, "b": range(2000)}), file)
    content, before = file.getvalue(), pa.total_allocated_bytes()
    found = chunks(
        opened(content), Format.PARQUET, Shard(0, "k", "e", 9, 0, 1), ["a", "b"], {}, Bounds(65_536, 4 << 20)
    )
    rows, most = list[int](), 0
    for one in found:
        assert one.table.schema.field("a").type == pa.string()
        assert one.table.nbytes <= 4 << 20
        most = max(most, pa.total_allocated_bytes() - before)
        rows += one.table.column("b").to_pylist()
    assert rows == list(range(2000))
    assert most < 50 << 20  # written out they are 500 MB


def test_texts_of_a_large_row_group_are_not_held_to_its_end(monkeypatch: pytest.MonkeyPatch):
    texts = [f"{at:07d}" + "x" * 1000 for at in range(20_000)]
    file = io.BytesIO()
    pq.write_table(pa.table({"a": texts}), file, compression="none", use_dictionary=False, data_page_size=64 << 10)
    monkeypatch.setattr(files, "_MAX_GROUP_BYTES", 1 << 20)
    content, before, most, given = file.getvalue(), pa.total_allocated_bytes(), 0, list[str]()
    shard = Shard(0, "k", "e", len(content), 0, 1)
    for one in chunks(opened(content), Format.PARQUET, shard, ["a"], {}, Bounds(65_536, 2 << 20)):
        most = max(most, pa.total_allocated_bytes() - before)
        given += one.table.column("a").to_pylist()
    assert given == texts
    assert most < 8 << 20  # of 20 MB


def test_record_batches_without_rows_are_passed_over():
    schema, file = pa.schema([("a", pa.int64())]), io.BytesIO()
    with pa.ipc.new_file(file, schema) as writer:
        for values in ([1, 2], [], [3], []):
            writer.write_batch(pa.record_batch([pa.array(values, pa.int64())], schema=schema))
    found, _ = read(file.getvalue(), Format.ARROW, ["a"])
    assert [value for one in found for value in one.table.column("a").to_pylist()] == [1, 2, 3]
    assert [number for one in found for number in one.numbers] == [0, 1, 2]


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize("text", ["'c' || i % 7", "'c' || i", "NULL", "''", "encode('c' || i % 7)"])
def test_texts_that_duckdb_wrote_are_read_as_it_reads_them(tmp_path: Path, version: str, text: str):
    file = tmp_path / "a.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT CASE WHEN i % 5 > 0 THEN {text} END AS a, i AS b FROM range(10_000) t(i)) "
            f"TO '{file}' (PARQUET_VERSION {version}, ROW_GROUP_SIZE 4096)"
        )
        wanted = connection.execute(f"SELECT a, b FROM '{file}'").fetchall()
    found = described(opened(file.read_bytes()), Format.PARQUET)
    shard = Shard(0, "k", "e", file.stat().st_size, 0, len(found.group_rows))
    made = list(chunks(opened(file.read_bytes()), Format.PARQUET, shard, ["a", "b"], {}, Bounds(3000, 1 << 20)))
    assert [row for one in made for row in zip(*one.table.to_pydict().values(), strict=True)] == wanted


def test_a_line_without_an_end_is_not_held(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 1000)
    content = b'{"a": 1}\n{"a": "' + b"x" * 5000
    with pytest.raises(Unreadable, match="row 1 is longer"):
        list(chunks(opened(content), Format.JSONL, Shard(0, "k", "e", 9), ["a"], {"a": "int64"}, Bounds(9, 9000)))
