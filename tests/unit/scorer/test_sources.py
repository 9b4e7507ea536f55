"""Systems that jobs may read rows from, and their rows as files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_scorer.answers import to_spec
from headrace_scorer.convert import spec_of
from headrace_scorer.decisions.specs import Source
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.sources import copies
from headrace_scorer.engine.sources.copies import distinct
from headrace_scorer.engine.sources.streams import Stream
from headrace_scorer.sources import SourceUnusable, access_of
from headrace_servicekit.errors import InvalidArgument

from tests.kit.rows import each

DECLARED = {
    "warehouse": {"type": "postgresql", "uri": "postgresql://db/warehouse"},
    "lake": {"type": "iceberg", "properties": {"type": "rest"}},
    "odd": {"type": "oracle"},
    "keywords": {"type": "postgresql", "uri": "host=db password=secret"},
    "nowhere": {"type": "postgresql"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "sources.json"
    made.write_text(json.dumps(DECLARED))
    return made


def test_a_source_is_what_the_file_says_of_its_name(file: Path):
    assert access_of(Source("warehouse", query="select 1"), file).uri == "postgresql://db/warehouse"
    assert access_of(Source("lake", table="a.b"), file).properties == {"type": "rest"}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (Source("gone", query="select 1"), "there are keywords, lake, nowhere, odd, warehouse"),
        (Source("odd", query="select 1"), "is of type 'oracle'"),
        (Source("keywords", query="select 1"), "does not begin with postgresql://: correct"),
        (Source("nowhere", query="select 1"), "does not begin with postgresql://: correct"),
        (Source("lake", query="select 1"), "give a table"),
        (Source("warehouse", table="a.b"), "give a query"),
    ],
)
def test_what_cannot_be_read_so_is_refused_with_what_can(file: Path, source: Source, told: str):
    with pytest.raises(SourceUnusable, match=told) as refused:
        access_of(source, file)
    assert not refused.value.transient


def test_without_a_file_no_source_is_declared_and_a_missing_one_is_waited_for(tmp_path: Path):
    with pytest.raises(SourceUnusable, match="none is"):
        access_of(Source("warehouse", query="select 1"), None)
    with pytest.raises(SourceUnusable, match="cannot be read") as refused:
        access_of(Source("warehouse", query="select 1"), tmp_path / "gone.json")
    assert refused.value.transient


@each(
    "given",
    [
        {"source": {"source": "w"}},
        {"source": {"source": "w", "query": "q", "table": "t"}},
        {"source": {"query": "q"}},
        {"source": {"source": "../w", "query": "q"}},
        {"source": {"source": "w", "query": "q" * 20_001}},
        {"source": {"source": "w", "query": "q\0"}},
        {"source": {"source": "w", "query": "q"}, "uri": "s3://bucket/in"},
        {"source": {"source": "w", "query": "q"}, "format": pb.ScoringSpec.Input.FORMAT_CSV},
    ],
)
def test_a_source_that_says_too_little_or_too_much_is_refused(given: dict[str, object]):
    with pytest.raises(InvalidArgument):
        spec_of(pb.ScoringSpec(input=given))  # pyright: ignore[reportArgumentType]


def test_a_spec_of_a_source_is_told_as_it_was_given():
    given = pb.ScoringSpec.Input(source={"source": "lake", "table": "sales.customers"})  # pyright: ignore[reportArgumentType]
    spec = spec_of(pb.ScoringSpec(input=given))
    assert to_spec(spec).input == given
    assert spec.reads == "table sales.customers of lake"


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(Failed, match="two columns are called 'a'"):
        distinct(pa.schema([("a", pa.int64()), ("a", pa.int64())]))


@pytest.mark.parametrize("sizes", [(1,), (7, 7, 7), (25, 1, 3), (10, 10), (0, 4, 0), ()])
def test_rows_are_in_files_in_their_order_however_they_come(
    sizes: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(copies, "GROUP_ROWS", 10)
    monkeypatch.setattr(copies, "FILE_BYTES", 300)
    schema = pa.schema([("a", pa.int64())])

    def batches() -> Iterator[pa.RecordBatch]:
        at = 0
        for size in sizes:
            yield pa.record_batch({"a": pa.array(range(at, at + size), pa.int64())})
            at += size

    found: list[int] = []
    for path in copies._files(Stream(schema, batches()), tmp_path):
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
        assert max(groups) <= 10
        found += file.read().column("a").to_pylist()
    assert found == list(range(sum(sizes)))


def test_wide_rows_are_written_before_there_are_many_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(copies, "GROUP_BYTES", 1000)
    rows = (pa.record_batch({"a": ["x" * 600]}) for _ in range(7))
    (path,) = copies._files(Stream(pa.schema([("a", pa.string())]), rows), tmp_path)
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [2, 2, 2, 1]
