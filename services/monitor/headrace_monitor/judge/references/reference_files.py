"""Freezing of a reference from a Parquet file. Run as a program, it does so in a process with resource limits:

python -m headrace_monitor.judge.references.reference_files FILE MAX_MEMORY_BYTES MAX_DATA_BYTES MAX_CPU_S < ASKED

ASKED is JSON: the list of what is judged, and the contract. It prints lines: the name of each column, as JSON, before
it is read, and at last statistics as text: {"rows": …, "columns": …, "unfit": …, "calibration": …}, or
{"refused": "why"}. An uploaded file may use up memory, hang or crash the reader;
the separate process protects the service.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.confinement import confine, first_line
from headrace_statistics import references, serialization
from headrace_statistics.inconclusive import Constant, NotEnoughData, Unreadable
from headrace_statistics.references import ColumnReference

from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn, columns_from_json
from headrace_monitor.judge.references.conversion import as_logged
from headrace_monitor.judge.references.dependent_rows import UNIT, ReferenceUnits
from headrace_monitor.judge.references.reference_tables import Place, RefusedError, Table, places
from headrace_monitor.judge.references.score_calibration import LABEL, CalibrationResult, calibrated
from headrace_monitor.judge.references.values import UnusableColumnError, elements, matrix, names, numbers
from headrace_monitor.record.log.raw_values import rounded

# From 9 September 2001 on, the ninth power of ten in seconds: counts and amounts are rarely all within a factor of two
# of each other, and from there on.
_FIRST_S, _AHEAD_S = 1e9, 366 * 86_400.0
_UNITS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
MAX_COLUMNS = 2_048
# Random features of a wider space would be larger than the log of a day.
MAX_DIMENSIONS = 4_096
# More different values than this are an identifier, of which every window has new ones.
MAX_DIFFERENT = 10_000
MIN_ROWS = 50
_SEED = 1
_FIELDS = ("rows", "columns", "unfit", "calibration")
Unfit = NotEnoughData | Constant | Unreadable


@dataclass(frozen=True, slots=True)
class FreezeResult:
    """Result of freezing a file. rows: of the file. unfit: columns that cannot be monitored, and why. calibration: of
    scores against labels, or why there is none; None for a file without labels.
    """

    rows: int
    columns: Mapping[str, ColumnReference]
    unfit: Mapping[str, Unfit]
    calibration: CalibrationResult | None = None


def freeze_file(
    path: str,
    columns: Sequence[MonitoredColumn],
    contract: tensor_pb2.ServingContract,
    begin: Callable[[str], object] = lambda _: None,
) -> FreezeResult:
    """Freeze what a file has of the columns. begin: called with the name of each before it is read.

    Columns of times are unfit, unless the contract declares a range for them.

    Raises RefusedError, which names the column where one is at fault.
    """
    if len(columns) > MAX_COLUMNS:
        raise RefusedError(f"the contract has {len(columns)} columns; at most {MAX_COLUMNS} are judged")
    try:
        table = Table(path, begin)
        there = table.names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RefusedError(f"the file cannot be read as Parquet: {first_line(error)}") from None
    if table.rows < MIN_ROWS:
        raise RefusedError(f"the file has {table.rows} rows; at least {MIN_ROWS} are needed")
    found = places(columns, there)
    frozen: dict[str, ColumnReference] = {}
    unfit: dict[str, Unfit] = {}
    try:
        units = ReferenceUnits(table) if UNIT in there else None
        for column, array in _read(table, columns, found):
            made = _frozen(column, array)
            if units is not None and isinstance(made, ColumnReference) and isinstance(array, pa.ChunkedArray):
                made = units.counted(column, made, array)
            (frozen if isinstance(made, ColumnReference) else unfit)[column.name] = made  # pyright: ignore[reportArgumentType]
        calibration = calibrated(table, contract, columns, found, frozen) if LABEL in there else None
    except UnusableColumnError as error:
        raise RefusedError(f"{_at(table)} cannot be converted to what the contract says: {error}") from None
    except MemoryError:
        raise RefusedError(f"{_at(table)} needs too much memory to be read: write fewer or shorter values") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise RefusedError(f"{_at(table)} cannot be read as Parquet: {first_line(error)}") from None
    for column in columns:
        if column.name not in found:
            unfit[column.name] = Unreadable("no such column in the file")
    return FreezeResult(table.rows, frozen, unfit, calibration)


def _at(table: Table) -> str:
    return f"column {table.reading[:100]!r}" if table.reading else "the file"


def _read(
    table: Table, columns: Sequence[MonitoredColumn], found: Mapping[str, Place]
) -> Iterable[tuple[MonitoredColumn, pa.ChunkedArray | Unfit]]:
    """Yield columns with their values, one column of the file at a time; each list of a tensor is read once."""
    lists: dict[str, list[MonitoredColumn]] = {}
    for column in columns:
        place = found.get(column.name)
        if place is not None and place.index is not None:
            lists.setdefault(place.name, []).append(column)
        elif place is not None and not _too_wide(column):
            yield column, table.column(place.name, column.width or 1)
        elif place is not None:
            yield column, Unreadable(_TOO_WIDE)
    for name, inside in lists.items():
        width = inside[0].width or 1
        flat, _ = elements(table.column(name, width), width)
        for column in inside:
            yield column, flat.take(pa.array(np.arange(column.index or 0, len(flat), width)))


_TOO_WIDE = f"rows vary in length, or have more than {MAX_DIMENSIONS} values"


def _too_wide(column: MonitoredColumn) -> bool:
    wide = column.width is None or not 0 < column.width <= MAX_DIMENSIONS
    return column.read_as is ColumnType.EMBEDDING and wide


def _frozen(column: MonitoredColumn, values: pa.ChunkedArray | Unfit) -> ColumnReference | Unfit:
    """Freeze a column. Raises UnusableColumnError for what cannot be converted to its datatype."""
    if isinstance(values, Unfit):
        return values
    match column.read_as:
        case ColumnType.NUMERIC:
            made = numbers(as_logged(values, column.datatype))
            finite = int(np.isfinite(made).sum())
            if finite < MIN_ROWS:
                return NotEnoughData(have=finite, need=MIN_ROWS)
            if column.declared is None and (times := said_of_times(made, time.time())):
                return Unreadable(f"its values are {times}, and only rise: give the model ages, or declare a range")
            return references.freeze_numeric(made, declared=column.declared)
        case ColumnType.CATEGORICAL:
            return _frozen_names(column, values)
        case ColumnType.EMBEDDING:
            rows = rounded(matrix(values, column.width or 1)[0], column.datatype)
            return references.freeze_embedding(rows, np.random.default_rng(_SEED))


def _frozen_names(column: MonitoredColumn, values: pa.ChunkedArray) -> ColumnReference | Unfit:
    seen = names(as_logged(values, column.datatype), column.datatype)
    there = seen.total() - seen[None]
    if there < MIN_ROWS:
        return NotEnoughData(have=there, need=MIN_ROWS)
    if len(seen) > MAX_DIFFERENT:
        return Unreadable(f"{len(seen)} different values in {there} rows: an identifier, and no category")
    return references.freeze_category_counts(seen)


def said_of_times(values: np.ndarray, now_s: float) -> str:
    """Return what numbers are that all are times since 1970, of 2001 to a year from now; empty for others.

    >>> said_of_times(np.array([1.7e12, 1.71e12]), 1.75e9)
    'milliseconds since 1970, from 2023-11-14 to 2024-03-09'
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ""
    low, high = float(finite.min()), float(finite.max())
    for unit, each in _UNITS.items():
        if low < high and low >= _FIRST_S * each and high <= (now_s + _AHEAD_S) * each:
            first, last = (datetime.fromtimestamp(value / each, UTC).date() for value in (low, high))
            return f"{unit} since 1970, from {first} to {last}"
    return ""


def main() -> None:
    """Freeze the file named by the arguments; the answer goes to stdout."""
    path, max_memory_bytes, max_data_bytes, max_cpu_s = sys.argv[1:]
    request = json.loads(sys.stdin.read())
    contract = tensor_pb2.ServingContract.FromString(base64.b64decode(request["contract"]))
    confine(int(max_memory_bytes), int(max_cpu_s), data_bytes=int(max_data_bytes))
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    sys.stdout.write(answer_of(path, columns_from_json(request["columns"]), contract, _announce))


def _announce(column: str) -> None:
    # Flushed at once: the parent reads it to report where this process died.
    sys.stdout.write(json.dumps(column[:100]) + "\n")
    sys.stdout.flush()


def answer_of(
    path: str,
    columns: Sequence[MonitoredColumn],
    contract: tensor_pb2.ServingContract,
    begin: Callable[[str], object] = lambda _: None,
) -> str:
    """Return as text what was frozen, or why nothing was."""
    try:
        frozen = freeze_file(path, columns, contract, begin)
        answer: dict[str, object] = {name: getattr(frozen, name) for name in _FIELDS}
    except RefusedError as error:
        answer = {"refused": str(error)}
    except MemoryError:
        answer = {"refused": "the file needs too much memory to be read: write fewer rows, or fewer values a row"}
    return serialization.to_json(answer)


if __name__ == "__main__":
    main()
