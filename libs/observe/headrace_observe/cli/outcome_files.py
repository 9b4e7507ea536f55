"""Files of outcomes: CSV, a JSON object on each line, or Parquet, a row per fact."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from headrace_client.errors import HeadraceError, PreconditionFailed, invalid
from headrace_client.local_files import read_as

from headrace_observe.operations.outcomes import Outcome

_BATCH_ROWS = 8192
_IDS = ("prediction_id", "entity_id")
_TIME = "observe_time"
# Python reads 1_0 as ten; as the name of a class it is a text.
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows become outcomes.

    kind: of rows that name none. value: the column with the fact; empty means `value`, else the one called like the
    kind. as_text: values are names of classes, also where they look like numbers. observed_at:
    of rows that say no time; one for the whole file, so that sending it again changes nothing.
    """

    kind: str
    value: str
    as_text: bool
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file. line: where it stands, from 1. outcome: None where it is wrong, and problem says how."""

    line: int
    outcome: Outcome | None
    field: str = ""
    problem: str = ""

    @classmethod
    def of(cls, line: int, found: Mapping[str, Any], reading: Reading) -> Row:
        """Return the row that these columns make."""
        try:
            return cls(line, _outcome(found, reading))
        except HeadraceError as error:
            violation = error.violations[0]
            return cls(line, None, violation.field, violation.description)


def read_outcomes(path: Path, reading: Reading) -> Iterator[Row]:
    """Yield the rows of a file, read by the ending of its name. Raises InvalidArgument for a file that is none."""
    readers = {".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": _parquet, ".pq": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise invalid("FILE", f"{path.name} ends neither in .csv, .jsonl nor .parquet; that is how it is read")
    for line, found in reader(path):
        yield found if isinstance(found, Row) else Row.of(line, found, reading)


def count_rows(path: Path) -> int:
    """Return about how many rows a file has, for the progress bar; 0 where only reading it would show."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return 0
    with read_as("a text", path, "FILE"), path.open("rb") as file:
        lines = sum(1 for line in file if line.strip())
    return max(lines - (path.suffix.lower() == ".csv"), 0)


def _outcome(found: Mapping[str, Any], reading: Reading) -> Outcome:
    """Return the fact that a row states. Raises InvalidArgument that names the column."""
    kind = _text(found.get("kind")) or reading.kind
    ids = [_id(name, found.get(name)) for name in _IDS]
    if bool(ids[0]) == bool(ids[1]):
        which = "neither of them" if not ids[0] else "both"
        raise invalid("prediction_id", f"one of prediction_id and entity_id says what it is about; this has {which}")
    column = next((name for name in ((reading.value,) if reading.value else ("value", kind)) if name in found), None)
    if column is None:
        wanted = f"'{reading.value}'" if reading.value else f"'value' or '{kind}'"
        raise invalid(
            "value", f"has no {wanted}; it has {', '.join(map(repr, found)) or 'nothing'}: see --value-column"
        )
    return Outcome(
        value=_value(found[column], column, reading.as_text),
        prediction_id=ids[0],
        entity_id=ids[1],
        kind=kind,
        row=_number(found.get("row")),
        observed_at=_time(found.get(_TIME)) or reading.observed_at,
    )


def _value(value: Any, column: str, as_text: bool) -> float | str:
    if value is None or value == "":
        raise invalid(column, "is empty")
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str) or as_text:
        text = value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
        return text if as_text else _parsed(text)
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            raise invalid(column, "is beyond every number") from None
        if not math.isfinite(number):
            raise invalid(column, f"is {value}, which is no number")
        return number
    raise invalid(column, f"is a {type(value).__name__}; a number or the name of a class is expected")


def _parsed(text: str) -> float | str:
    """Return the number that a text says, else the text: CSV does not tell them apart."""
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else text


def _number(value: Any) -> int:
    if value in (None, ""):
        return 0
    try:
        number = int(str(value))
    except ValueError:
        raise invalid("row", f"{value!r} is no whole number") from None
    if not 0 <= number < 2**31:
        raise invalid("row", f"{number} is no row of a prediction")
    return number


def _time(value: Any) -> datetime | None:
    if value in (None, ""):
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        if isinstance(value, date) and not isinstance(value, datetime):
            moment = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone comes below
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid(_TIME, f"{value!r} is no time; write 2031-02-03T04:05:06Z (UTC without a zone)") from None


def _id(name: str, value: Any) -> str:
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        # A column with gaps is often read as floats: 17.0 is no entity's id.
        raise invalid(name, f"is a {type(value).__name__}; ids are texts or whole numbers")
    return _text(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | Row]]:
    with read_as("CSV", path, "FILE"), path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        _check_columns(path, rows.fieldnames or ())
        for found in rows:
            if None in found or None in found.values():
                yield rows.line_num, Row(rows.line_num, None, "row", "has not as many columns as the first line")
            else:
                yield rows.line_num, found


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | Row]]:
    with read_as("lines of JSON", path, "FILE"), path.open("rb") as file:
        for line, content in enumerate(file, 1):
            if not content.strip():
                continue
            try:
                found = json.loads(content)
            except (ValueError, RecursionError) as error:
                yield line, Row(line, None, "line", f"is no JSON: {error}")
                continue
            yield line, found if isinstance(found, dict) else Row(line, None, "line", "is no JSON object")


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | Row]]:
    try:
        from pyarrow.parquet import ParquetFile  # only reading Parquet needs it
    except ImportError as error:
        raise PreconditionFailed(
            "reading Parquet needs pyarrow: pip install 'headrace-client[parquet]', or give a .csv or .jsonl file",
            reason="PYARROW_MISSING",
        ) from error
    with read_as("a table in Parquet", path, "FILE"):
        source = ParquetFile(path)
        _check_columns(path, source.schema_arrow.names)
        line = 0
        for batch in source.iter_batches(batch_size=_BATCH_ROWS):
            batch.validate(full=True)
            for found in batch.to_pylist():
                line += 1
                yield line, found


def _check_columns(path: Path, names: Sequence[str]) -> None:
    if not set(_IDS) & set(names):
        listed = ", ".join(map(repr, names)) or "no columns"
        raise invalid("FILE", f"{path} has neither a column 'prediction_id' nor 'entity_id'; it has {listed}")
