"""One query, in a separate process: `python -I -m headrace_monitor.record.query.engine`, which communicates in frames.

A caller's SQL may use up memory, hang or crash without harm to the service. The process has no environment variables,
credentials or network; DuckDB may open only the files passed to it, and its configuration is locked before the query
is prepared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace_monitor.record.query import confined
from headrace_monitor.record.query.confined import RefusedError
from headrace_monitor.record.query.decisions import scope, views
from headrace_monitor.record.query.frames import Kind

if TYPE_CHECKING:
    import duckdb
    import pyarrow


def main() -> None:
    """Answer the one query that comes on stdin; the answer goes to stdout."""
    confined.serve(_answer)


def _answer(outgoing: Any) -> None:
    import duckdb

    job = confined.receive(Kind.JOB)
    confined.limit(job)
    connection = confined.connect(job)
    try:
        found = scope.reading(_tree(connection, job["sql"]), lambda node: _time(connection, node))
        confined.send(outgoing, Kind.READING, {"views": sorted(found.views), "scope": _plain(found.scope)})
        import pyarrow  # noqa: F401 - while the service looks for the files

        sources = confined.receive(Kind.SOURCES)
        _make_views(connection, sources)
        _lock(connection, [*sources["files"], *filter(None, [sources["outcomes"]])])
        # Every word of the query is bound here for the first time, with everything shut.
        reader = connection.execute(job["sql"]).to_arrow_reader(confined.BATCH_ROWS)
        confined.send_rows(outgoing, reader, job["max_rows"], job["max_bytes"])
    except (duckdb.Error, MemoryError) as error:
        raise confined.refusal(error, _words(error)) from error
    except RecursionError as error:
        raise RefusedError("invalid", "the query is nested too deeply") from error


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
    by_schema = schemas(sources["files"])
    start, end = (datetime.fromisoformat(each) if each else None for each in (sources["start"], sources["end"]))
    predictions, pipeline_steps = views.of_log(by_schema, start, end)
    connection.execute(f"create view predictions as {predictions}")
    connection.execute(f"create view pipeline_steps as {pipeline_steps}")
    connection.execute(f"create view outcomes as {views.outcomes(sources['outcomes'])}")
    connection.execute(f"create view labelled as {views.LABELLED}")


def schemas(paths: Iterable[str]) -> dict[views.Schema, list[str]]:
    """Return files of the log by their schema."""
    by_schema: dict[views.Schema, list[str]] = {}
    for path in paths:
        by_schema.setdefault(_schema(path), []).append(path)
    return by_schema


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


if __name__ == "__main__":
    main()
