"""Rows as people have them (records, CSV, Parquet, examples of MLflow), as `validation.json` has them."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace_client.errors import invalid
from headrace_client.local_files import read_as
from headrace_client.operations.missing_values import VALIDATION_FILE

_FORMATS = (
    'validation.json is {"inputs": {NAME: [ROW, …]}, "outputs": {…}}, a list of records {NAME: VALUE}, CSV with a '
    "header, or Parquet"
)
# Of a table; more are not compared, and would not fit into the file.
_MOST_ROWS = 1024


@contextmanager
def as_validation(artifacts: Mapping[str, Path]) -> Iterator[Mapping[str, Path]]:
    """Yield artifacts whose `validation.json` has inputs by name. Raises InvalidArgument with the formats."""
    given = artifacts.get(VALIDATION_FILE)
    if given is None:
        yield artifacts
        return
    with read_as("rows", given, f"artifacts.{VALIDATION_FILE}", _FORMATS):
        content = given.read_bytes()
        made = content_of(content)
    if made is None:
        yield artifacts
        return
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        (path := Path(folder, VALIDATION_FILE)).write_text(json.dumps(made))
        yield {**artifacts, VALIDATION_FILE: path}


def content_of(content: bytes) -> dict[str, Any] | None:
    """Return what rows are as `validation.json`; None where they are so already. Raises InvalidArgument, ValueError."""
    if content.startswith(b"PAR1"):
        import pyarrow.parquet  # a table in Parquet wants headrace-client[parquet]

        return _of_records(pyarrow.parquet.read_table(io.BytesIO(content)).slice(0, _MOST_ROWS).to_pylist())
    if content.lstrip()[:1] not in (b"{", b"["):
        return _of_records([_typed(row) for row in _csv(content.decode())])
    told = json.loads(content)
    told = told.get("dataframe_split", told) if isinstance(told, dict) else told
    if isinstance(told, dict) and isinstance(told.get("inputs"), dict):
        return None
    if isinstance(told, dict) and {"columns", "data"} <= told.keys():
        return _of_records([dict(zip(told["columns"], row, strict=True)) for row in told["data"]])
    rows = told.get("inputs", told.get("dataframe_records")) if isinstance(told, dict) else told
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        return _of_records(rows)
    if isinstance(rows, list) and rows:
        return {"inputs": {"features": rows}}
    raise invalid(f"artifacts.{VALIDATION_FILE}", f"has no rows that are known: {_FORMATS}")


def _of_records(records: list[dict[str, Any]]) -> dict[str, Any]:
    if not records:
        raise invalid(f"artifacts.{VALIDATION_FILE}", f"has no rows: {_FORMATS}")
    names = list(records[0])
    if wrong := next((at for at, one in enumerate(records) if list(one) != names and set(one) != set(names)), 0):
        raise invalid(f"artifacts.{VALIDATION_FILE}", f"row {wrong} has other names than the first: {', '.join(names)}")
    return {"inputs": {name: [[one[name]] for one in records[:_MOST_ROWS]] for name in names}}


def _csv(text: str) -> Iterator[dict[str, str]]:
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    for row in rows:
        if None in row or None in row.values():
            raise ValueError(f"line {rows.line_num} has another number of values than the header")
        yield row


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    return {name: _value(text) for name, text in row.items()}


def _value(text: str) -> Any:
    """Return a number where a text is one, None for nothing."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return text
