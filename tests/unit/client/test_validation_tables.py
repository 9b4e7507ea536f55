"""Rows as people have them become inputs by name."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from headrace_client.errors import InvalidArgument
from headrace_client.validation_tables import as_validation, content_of

INPUTS = {"inputs": {"age": [[41.0], [None]], "city": [["Oslo"], ["Rome, Lazio"]]}}
RECORDS = [{"age": 41.0, "city": "Oslo"}, {"city": "Rome, Lazio", "age": None}]


def parquet(records: list[dict[str, Any]]) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(records), made := io.BytesIO())
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
    assert content_of(parquet(RECORDS)) == INPUTS
    assert content_of(parquet([{**RECORDS[0]}, {**RECORDS[1], "age": math.nan}])) == INPUTS


def test_a_column_of_csv_has_numbers_where_it_has_nothing_else() -> None:
    made = content_of(b"id,code,age\n007,7,nan\nab1,8,\n")
    assert made == {"inputs": {"id": [["007"], ["ab1"]], "code": [[7.0], [8.0]], "age": [[None], [None]]}}


def test_decimals_become_numbers_and_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(parquet([{"price": Decimal("1.5")}]))
    with as_validation({"validation.json": path}) as given:
        assert json.loads(given["validation.json"].read_text()) == {"inputs": {"price": [[1.5]]}}
    path.write_bytes(parquet([{"born": datetime(2031, 1, 1, tzinfo=UTC)}]))
    with pytest.raises(InvalidArgument, match="a value is a datetime"), as_validation({"validation.json": path}):
        pass


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
        pytest.param(b"a,a\n1,2\n", "two columns are called 'a'", id="a name twice"),
        pytest.param(b"\xff\xfe", "not UTF-8.*Parquet", id="bytes"),
    ],
)
def test_other_files_are_refused_with_the_formats(tmp_path: Path, content: bytes, why: str) -> None:
    (path := tmp_path / "rows").write_bytes(content)
    with pytest.raises(InvalidArgument, match=why), as_validation({"validation.json": path}):
        pass
