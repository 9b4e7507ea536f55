"""Files of the log that an earlier code wrote are read and merged under the present names of their columns."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from headrace_monitor.record.log import parquet
from headrace_monitor.record.log.files import LogFile
from headrace_monitor.record.query.decisions import views

TIME = datetime(2026, 11, 28, 12, tzinfo=UTC)


def table(column: str, value: str) -> pa.Table:
    return pa.table({"answer_time": pa.array([TIME], pa.timestamp("us", tz="UTC")), "row": [0], column: [value]})


def schema(*columns: str) -> views.Schema:
    return tuple((column, "text") for column in columns)


def test_a_query_reads_old_and_new_files_as_one_column(tmp_path: Path):
    files = {}
    for column, value in (("rung", "old"), ("fallback_step", "new")):
        path = str(tmp_path / f"{column}.parquet")
        pq.write_table(table(column, value), path)
        files[schema("answer_time", "row", column)] = [path]
    with duckdb.connect() as connection:
        connection.execute(f"create view predictions as {views.of_log(files, None, None)[0]}")
        assert sorted(connection.execute("select fallback_step from predictions").fetchall()) == [("new",), ("old",)]
        names = [one[0] for one in connection.execute("describe predictions").fetchall()]
    assert "rung" not in names


def test_merged_files_have_the_column_once():
    content = []
    for column, value in (("rung", "old"), ("fallback_step", "new")):
        content.append(bytes(parquet.new_file("m", "v1", TIME, table(column, value)).content))
    files = [LogFile(number, "m", "v1", TIME, "", 1, 1, 1, TIME, TIME, merged=False) for number in range(2)]
    merged = pq.read_table(pa.BufferReader(parquet.merged_file(files, content).content))
    assert merged.column_names == ["answer_time", "row", "fallback_step"]
    assert merged.column("fallback_step").to_pylist() == ["old", "new"]
