"""One query, in a process of its own: `python -I -m headrace_monitor.query.engine`, spoken to in frames.

SQL of strangers may use up memory, hang or crash native code; here it takes nobody with it. The process has no
environment, no credentials and no network to care for; DuckDB may open the files that it is given and no others, and
its configuration is locked before the query is prepared.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace_servicekit.confinement import confine

from headrace_monitor.query import frames
from headrace_monitor.query.decisions import scope, views
from headrace_monitor.query.frames import Kind

if TYPE_CHECKING:
    import duckdb
    import pyarrow

_BATCH_ROWS = 8192
_MAX_WORDS = 4000
# What DuckDB says when it may keep no more on disk.
_FULL = "File too large"
_PR_SET_PDEATHSIG = 1
# Address space beside DuckDB's own memory: the interpreter, libraries, and what threads reserve and do not use.
_ADDRESS_SPACE_BYTES = 6 * 2**30


class RefusedError(Exception):
    """The query cannot be answered. kind: `invalid` or `too_large`."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


def main() -> None:
    """Answer the one query that comes on stdin; the answer goes to stdout."""
    _die_with_parent()
    outgoing = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints is no frame
    try:
        _answer(outgoing)
    except RefusedError as error:
        failure = {"kind": error.kind, "words": str(error)[:_MAX_WORDS]}
        outgoing.write(frames.frame(Kind.FAILED, json.dumps(failure).encode()))
    except (EOFError, BrokenPipeError):
        pass  # nobody waits any more


def _answer(outgoing: Any) -> None:
    import duckdb

    job = json.loads(_expect(Kind.JOB))
    _limit(job)
    connection = _connect(job)
    try:
        found = scope.reading(_tree(connection, job["sql"]), lambda node: _time(connection, node))
        reading = {"views": sorted(found.views), "scope": _plain(found.scope)}
        outgoing.write(frames.frame(Kind.READING, json.dumps(reading).encode()))
        import pyarrow  # while the service looks for the files

        sources = json.loads(_expect(Kind.SOURCES))
        _make_views(connection, sources)
        _lock(connection, [*sources["files"], *filter(None, [sources["outcomes"]])])
        # Every word of the query is bound here for the first time, with everything shut.
        reader = connection.execute(job["sql"]).to_arrow_reader(_BATCH_ROWS)
        done = _send(outgoing, pyarrow, reader, job["max_rows"], job["max_bytes"])
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        words = f"the query needs more memory than a query may use: {error}"
        raise RefusedError("too_large", words) from error
    except duckdb.Error as error:
        kind = "too_large" if isinstance(error, duckdb.IOException) and _FULL in str(error) else "invalid"
        raise RefusedError(kind, _words(error)) from error
    except RecursionError as error:
        raise RefusedError("invalid", "the query is nested too deeply") from error
    outgoing.write(frames.frame(Kind.DONE, json.dumps(done).encode()))


def _expect(kind: Kind) -> bytes:
    found, content = frames.read(sys.stdin.buffer)
    if found is not kind:
        raise EOFError
    return content


def _connect(job: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": str(job["threads"]),
            "memory_limit": f"{job['memory_bytes']}B",
            "temp_directory": f"{job['folder']}/spill",
            "max_temp_directory_size": f"{job['spill_bytes']}B",
            "home_directory": job["folder"],
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",
            "preserve_insertion_order": "false",
        },
    )
    connection.execute("set timezone = 'UTC'")
    return connection


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """Return the syntax tree of the one SELECT. Raises RefusedError for everything else."""
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        what = "nothing" if not statements else " and ".join(one.type.name for one in statements[:5])
        raise RefusedError("invalid", f"the query is to be one SELECT, and it is {what}")
    serialized = connection.execute("select json_serialize_sql(?::varchar)", [sql]).to_arrow_table()
    tree = json.loads(serialized.column(0)[0].as_py())
    # What the tree cannot show (PIVOT, for one) is read whole.
    return {"type": "SHOW_REF"} if tree.get("error") else tree


def _time(connection: duckdb.DuckDBPyConnection, node: scope.Tree) -> datetime | None:
    """Return the time that an expression says."""
    import duckdb

    shell = json.loads(
        connection.execute("select json_serialize_sql('select cast(null as timestamptz)')")
        .to_arrow_table()
        .column(0)[0]
        .as_py()
    )
    shell["statements"][0]["node"]["select_list"][0]["child"] = node
    try:
        rows = connection.execute("from json_execute_serialized_sql(?::varchar)", [json.dumps(shell)]).to_arrow_table()
        value = rows.column(0)[0].as_py()
    except (duckdb.Error, ValueError, OverflowError):  # the last two: infinity, and other times beyond datetime's
        return None
    return value.astimezone(UTC) if isinstance(value, datetime) else None


def _make_views(connection: duckdb.DuckDBPyConnection, sources: Mapping[str, Any]) -> None:
    by_schema: dict[views.Schema, list[str]] = {}
    for path in sources["files"]:
        by_schema.setdefault(_schema(path), []).append(path)
    start, end = (datetime.fromisoformat(each) if each else None for each in (sources["start"], sources["end"]))
    for view in views.of_log(by_schema, start, end):
        connection.execute(view)
    connection.execute(views.outcomes(sources["outcomes"]))
    connection.execute(views.LABELLED)


def _schema(path: str) -> views.Schema:
    import pyarrow.parquet
    import pyarrow.types as types

    def kind(type_: pyarrow.DataType) -> str:
        if types.is_integer(type_) or types.is_floating(type_) or types.is_boolean(type_) or types.is_null(type_):
            return "number"
        if types.is_string(type_) or types.is_large_string(type_) or types.is_dictionary(type_):
            return "text"
        if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
            return f"list of {kind(type_.value_type)}"
        return str(type_)

    return tuple((field.name, kind(field.type)) for field in pyarrow.parquet.read_schema(path))


def _lock(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> None:
    connection.execute(f"set allowed_paths = [{', '.join(map(views.text, paths))}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _send(outgoing: Any, pyarrow: Any, reader: Any, max_rows: int, max_bytes: int) -> dict[str, Any]:
    """Send the answer as an Arrow IPC stream, at most `max_rows` of it; return how it went."""
    sink = _Sink(outgoing, max_bytes)
    rows, truncated = 0, False
    with pyarrow.ipc.new_stream(sink, reader.schema) as writer:
        for batch in reader:
            taken = batch.slice(0, max_rows - rows)
            truncated = taken.num_rows < batch.num_rows
            rows += taken.num_rows
            if taken.num_rows:
                writer.write_batch(taken)
            if truncated:
                break
    return {"rows": rows, "truncated": truncated}


class _Sink:
    """What pyarrow writes to: a file whose bytes become frames, up to a limit."""

    closed = False

    def __init__(self, outgoing: Any, max_bytes: int) -> None:
        self._outgoing, self._left = outgoing, max_bytes

    def write(self, content: Any) -> int:
        view = memoryview(content)
        self._left -= view.nbytes
        if self._left < 0:
            raise RefusedError("too_large", "the answer is larger than an answer may be: ask for fewer rows or columns")
        for begin in range(0, view.nbytes, frames.CHUNK_BYTES):
            self._outgoing.write(frames.frame(Kind.ARROW, bytes(view[begin : begin + frames.CHUNK_BYTES])))
        return view.nbytes

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        self.closed = True


def _words(error: Exception) -> str:
    words = str(error)
    if 'Referenced table "feature"' in words or 'Referenced table "output"' in words:
        words += '\nNames with a dot are written in double quotes: "feature.age", "output.scores.0".'
    return words


def _plain(found: scope.Scope) -> dict[str, Any]:
    return {
        key: sorted(value) if isinstance(value, frozenset) else value.isoformat() if value is not None else None
        for key, value in asdict(found).items()
    }


def _limit(job: Mapping[str, Any]) -> None:
    confine(job["memory_bytes"] + _ADDRESS_SPACE_BYTES, int(job["cpu_s"]) + 1, file_bytes=job["spill_bytes"])
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


if __name__ == "__main__":
    main()
