"""Traces of requests: generated, from CSV or Parquet, or from the prediction log."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from headrace_client.client import Client
from headrace_client.errors import PreconditionFailed, invalid
from headrace_client.local_files import read_as
from headrace_scaling.simulation import traces
from headrace_scaling.simulation.traces import Trace

_MODEL = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_MOST_ROWS = 1_000_000
_TIMES = ("time", "timestamp", "second", "answer_time")
_COUNTS = ("requests", "count", "value")
FIELD = "TRACE"


def read_trace(path: Path) -> Trace:
    """Return a file's trace, by the ending of its name. Raises InvalidArgument."""
    match path.suffix.lower():
        case ".csv" | ".txt":
            with read_as("a trace in CSV", path, FIELD):
                return traces.from_csv(path.stem, path.read_text(encoding="utf-8"))
        case ".parquet" | ".pq":
            return _of_parquet(path)
    known = ", ".join(traces.SHAPES)
    raise invalid(FIELD, f"{path} is neither a shape ({known}) nor a file that ends in .csv or .parquet")


def _of_parquet(path: Path) -> Trace:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise PreconditionFailed(
            "reading Parquet needs pyarrow: pip install 'headrace-client[parquet]'", reason="MISSING_DEPENDENCY"
        ) from error
    with read_as("a trace in Parquet", path, FIELD):
        return of_table(path.stem, pyarrow.parquet.read_table(path), f"{path}")


def of_table(name: str, table: Any, what: str) -> Trace:
    """Return the trace of an Arrow table with a column of times, or of counts alone. Raises InvalidArgument."""
    columns = table.column_names
    time = next((column for column in columns if column in _TIMES), None)
    count = next((column for column in columns if column in _COUNTS), None)
    if count is None:
        have = ", ".join(columns) or "none"
        raise invalid(FIELD, f"{what} has no column {' or '.join(_COUNTS)}; it has {have}")
    try:
        counts = np.asarray(table.column(count).to_numpy(), np.float64)
        if time is None:
            return Trace(name, counts)
        return traces.from_times(name, _seconds(table.column(time).to_numpy()), counts)
    except (TypeError, ValueError) as error:
        raise invalid(FIELD, f"{what}: {error}") from error


def _seconds(times: np.ndarray) -> np.ndarray:
    if times.dtype.kind == "M":
        return times.astype("datetime64[us]").astype(np.int64) / 1e6
    return np.asarray(times, np.float64)


def log_query(models: tuple[str, ...]) -> str:
    """Return the SQL for the online predictions of models by second. An answer from memory costs no pool anything."""
    for model in models:
        if not _MODEL.fullmatch(model):
            raise invalid("--log", f"{model!r} is no name of a model")
    names = ", ".join(f"'{model}'" for model in models)
    return (
        "SELECT epoch(date_trunc('second', answer_time)) AS time, sum(1.0 / probability) AS requests FROM predictions"
        f" WHERE model IN ({names}) AND served_from = 'online' AND row = 0 GROUP BY 1 ORDER BY 1"
    )


def log_trace(client: Client, models: tuple[str, ...], since: datetime | None, until: datetime | None) -> Trace:
    """Return what models computed online, from the prediction log."""
    answer = client.monitor.query(log_query(models), start=since, end=until, max_rows=_MOST_ROWS, timeout=300.0)
    table = answer.table()
    if table.num_rows == 0:
        raise invalid("--log", f"the log has no online prediction of {', '.join(models)} in that time")
    if answer.truncated:
        raise invalid("--log", f"the log has more than {_MOST_ROWS:,} busy seconds in that time: ask for less, --since")
    return of_log(" + ".join(models), table)


def of_log(name: str, table: Any) -> Trace:
    """Return the trace of the rows of `log_query`: seconds without a row had no request."""
    times = _seconds(table.column("time").to_numpy())
    places = np.round(times - times[0]).astype(np.int64)
    if places[-1] >= traces.MOST_SECONDS:
        raise invalid("--log", "the log spans more than half a year: ask for less, --since")
    counts = np.zeros(int(places[-1]) + 1)
    counts[places] = table.column("requests").to_numpy()
    return Trace(name, counts, float(times[0]))
