"""The unit table of an experiment, in its own process: `python -I -m headrace_monitor.judge.experiments.unit_engine`.

The table is a DuckDB file, updated in one transaction, so that a killed process leaves the previous state; an
unreadable file is rebuilt.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from headrace_monitor.judge.experiments.decisions.unit_table import UnitTable
from headrace_monitor.record.query import confined
from headrace_monitor.record.query.decisions import views
from headrace_monitor.record.query.engine import schemas
from headrace_monitor.record.query.frames import Kind

if TYPE_CHECKING:
    import duckdb


_TOO_LARGE = (
    "the experiment has more units than MONITOR_QUERY_MEMORY_BYTES and MONITOR_EXPERIMENTS_BYTES have room for: {}"
)


def main() -> None:
    """Take in what comes on stdin, and answer; the answer goes to stdout."""
    confined.serve(_answer)


def _answer(outgoing: Any) -> None:
    import duckdb

    job = confined.receive(Kind.JOB)
    confined.limit(job)
    table = UnitTable(**job["table"])
    try:
        connection, known = _opened(job)
        confined.send(outgoing, Kind.READING, {"watermark": known})
        if confined.receive(Kind.SOURCES)["fresh"]:
            connection.close()
            _remove(job["path"])
            connection, known = confined.connect(job, job["path"]), None
        take(connection, table, _sources(outgoing), fresh=known is None)
        confined.send(outgoing, Kind.READING, {})
        reader = connection.execute(job["sql"]).to_arrow_reader(confined.BATCH_ROWS)
        confined.send_rows(outgoing, reader, job["max_rows"], job["max_bytes"])
        connection.close()
    except (duckdb.Error, MemoryError) as error:
        refused = confined.refusal(error, str(error))
        words = _TOO_LARGE.format(error) if refused.kind == "too_large" else str(error)
        raise confined.RefusedError(refused.kind, words) from error


def _opened(job: dict[str, Any]) -> tuple[duckdb.DuckDBPyConnection, Any]:
    """Return the database, and what it has taken in; None without one that can be read."""
    import duckdb

    try:
        connection = confined.connect(job, job["path"])
        with suppress(duckdb.CatalogException):
            (content,) = connection.execute("select content from watermark").fetchall()[0]
            return connection, json.loads(content)
        return connection, None
    except (duckdb.Error, IndexError, ValueError):
        _remove(job["path"])
        return confined.connect(job, job["path"]), None


def _remove(path: str) -> None:
    for each in (path, f"{path}.wal"):
        with suppress(FileNotFoundError):
            os.unlink(each)


def _sources(outgoing: Any) -> Iterator[dict[str, Any]]:
    """Yield the service's messages; acknowledge each batch of files after it was read."""
    while "watermark" not in (sources := confined.receive(Kind.SOURCES)):
        yield sources
        confined.send(outgoing, Kind.READING, {})
    yield sources


def take(
    connection: duckdb.DuckDBPyConnection, table: UnitTable, sources: Iterable[dict[str, Any]], *, fresh: bool
) -> None:
    """Read files of the log as they arrive, outcomes last, and recount the units with new records.

    fresh: the table is empty.
    """
    connection.execute("begin")
    connection.execute("create or replace temp table touched (unit varchar)")
    if fresh:
        _run(connection, table.made())
    for each in sources:
        if "files" in each:
            predictions, _ = views.of_log(schemas(each["files"]), None, None)
            _run(connection, table.taking(predictions))
            continue
        if each["outcomes"]:
            _run(connection, table.taking_outcomes(views.outcomes(each["outcomes"]), fresh=fresh))
        if each["ended"]:
            connection.execute(table.ending())
        which = "answer_rows" if fresh else "touched"
        (units,) = connection.execute(f"select count(distinct unit) from {which}").fetchall()[0]
        _run(connection, table.counted_anew(units, fresh=fresh))
        connection.execute("delete from watermark")
        connection.execute("insert into watermark values (?)", [json.dumps(each["watermark"])])
        connection.execute("commit")


def _run(connection: duckdb.DuckDBPyConnection, statements: Iterable[str]) -> None:
    for each in statements:
        connection.execute(each)


if __name__ == "__main__":
    main()
