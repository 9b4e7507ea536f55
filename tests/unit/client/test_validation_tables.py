"""Rows as people have them become inputs by name."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from headrace_client.errors import InvalidArgument
from headrace_client.validation_tables import as_validation, content_of

INPUTS = {"inputs": {"age": [[41.0], [None]], "city": [["Oslo"], ["Rome, Lazio"]]}}
RECORDS = [{"age": 41.0, "city": "Oslo"}, {"city": "Rome, Lazio", "age": None}]


def parquet() -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(RECORDS), made := io.BytesIO())
    return made.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(json.dumps(RECORDS).encode(), id="records"),
        pytest.param(b'age,city\n41,Oslo\n,"Rome, Lazio"\n', id="CSV"),
        pytest.param(
            b'{"columns": ["age", "city"], "data": [[41.0, "Oslo"], [null, "Rome, Lazio"]]}', id="example of MLflow"
        ),
        pytest.param(json.dumps({"dataframe_records": RECORDS}).encode(), id="records of MLflow"),
    ],
)
def test_tables_are_inputs_by_column(content: bytes) -> None:
    assert content_of(content) == INPUTS


def test_a_table_in_parquet_is_inputs_by_column() -> None:
    assert content_of(parquet()) == INPUTS


def test_rows_of_numbers_are_one_input_and_what_is_right_already_stays() -> None:
    assert content_of(b"[[1, 2], [3, 4]]") == {"inputs": {"features": [[1, 2], [3, 4]]}}
    assert content_of(b'{"inputs": [[1, 2]]}') == {"inputs": {"features": [[1, 2]]}}
    assert content_of(json.dumps(INPUTS).encode()) is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"{}", "a list of records", id="an empty object"),
        pytest.param(b"[]", "CSV with a header", id="no rows"),
        pytest.param(b'[{"a": 1}, {"b": 2}]', "row 1 has other names", id="other names"),
        pytest.param(b"a,b\n1\n", "line 2 has another number of values.*Parquet", id="a cut line"),
        pytest.param(b"\xff\xfe", "not UTF-8.*Parquet", id="bytes"),
    ],
)
def test_other_files_are_refused_with_the_formats(tmp_path: Path, content: bytes, why: str) -> None:
    (path := tmp_path / "rows").write_bytes(content)
    with pytest.raises(InvalidArgument, match=why), as_validation({"validation.json": path}):
        pass
