"""Rows as people have them (records, CSV, Parquet, examples of MLflow), as `validation.json` has them."""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
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
        found = content_of(given.read_bytes())
        made = None if found is None else json.dumps(found, allow_nan=False, default=_number)
    if made is None:
        yield artifacts
        return
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        (path := Path(folder, VALIDATION_FILE)).write_text(made)
        yield {**artifacts, VALIDATION_FILE: path}


def content_of(content: bytes) -> dict[str, Any] | None:
    """Return what rows are as `validation.json`; None where they are so already. Raises InvalidArgument, ValueError."""
    if content.startswith(b"PAR1"):
        import pyarrow.parquet  # a table in Parquet wants headrace-client[parquet]

        return _of_records(pyarrow.parquet.read_table(io.BytesIO(content)).slice(0, _MOST_ROWS).to_pylist())
    if content.lstrip()[:1] not in (b"{", b"["):
        return _of_records(_typed(list(_csv(content.decode()))))
    return _of_json(json.loads(content))


def _of_json(document: Any) -> dict[str, Any] | None:
    """Return the rows of records, of MLflow's examples, or of a list; None for what has inputs by name already."""
    if isinstance(document, dict):
        document = document.get("dataframe_split", document)
        if isinstance(document.get("inputs"), dict):
            return None
        if {"columns", "data"} <= document.keys():
            return _of_records([dict(zip(document["columns"], row, strict=True)) for row in document["data"]])
    rows = document.get("inputs", document.get("dataframe_records")) if isinstance(document, dict) else document
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
    return {"inputs": {name: [[_value(one[name])] for one in records[:_MOST_ROWS]] for name in names}}


def _csv(text: str) -> Iterator[dict[str, str]]:
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    header = rows.fieldnames or ()
    if twice := next((name for name in header if header.count(name) > 1), None):
        raise ValueError(f"two columns are called '{twice}'")
    for row in rows:
        if None in row or None in row.values():
            raise ValueError(f"line {rows.line_num} has another number of values than the header")
        yield row


def _typed(records: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return numbers in place of the texts of each column that has nothing else; there, nothing is None."""
    numbers = {name for name in (records[0] if records else ()) if all(_is_number(one[name]) for one in records)}
    return [
        {name: (float(text) if text.strip() else None) if name in numbers else text for name, text in one.items()}
        for one in records
    ]


def _is_number(text: str) -> bool:
    try:
        float(text.strip() or "0")
    except ValueError:
        return False
    return True


def _value(value: Any) -> Any:
    """Return None in place of NaN, which JSON cannot hold."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _number(value: Any) -> float:
    """Return a decimal as JSON has it. Raises TypeError, for a time or bytes."""
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"a value is a {type(value).__name__}, and no number or text")
