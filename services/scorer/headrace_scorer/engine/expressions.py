"""Columns that are computed by declared SQL expressions, row by row, in a DuckDB that can reach nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from headrace_scorer.decisions.specs import ColumnExpression
from headrace_scorer.engine.memory import at_most_more
from headrace_scorer.engine.tensors import Faults

# What the columns of one chunk of rows may take, what DuckDB does not count among them: texts and lists that a function
# makes longer (`lpad`, `repeat`, `range`).
MAX_BYTES = 512 << 20
# A row that exceeds the limit costs seconds; after this many the expression itself is rejected.
_MAX_REFUSALS = 32

# Of the parsed expression: what looks at one row only. Subqueries, windows, stars and parameters are not among them.
_CLASSES = frozenset(
    ("BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA", "OPERATOR")
)
# Functions that DuckDB calls consistent, and that look at the time, its settings or its memory.
_OUTSIDE = frozenset(
    ("current_localtime", "current_localtimestamp", "current_setting", "getvariable", "json_serialize_plan")
)
# The time zone is that of no machine: every one computes the same.
_SETTINGS = (
    "set timezone = 'UTC'; set enable_external_access = false; set python_enable_replacements = false; "
    "set lock_configuration = true"
)


class WrongExpression(Exception):
    """An expression may not be used; the message says why."""


class Expressions:
    """Some expressions over the columns of a table."""

    def __init__(self, expressions: Sequence[ColumnExpression], *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        bounds = {"threads": 1, "memory_limit": f"{max_bytes >> 20}MiB", "temp_directory": ""}
        self._connection = duckdb.connect(":memory:", config=bounds)
        self._connection.execute(_SETTINGS)
        self._expressions = tuple(expressions)
        listed = ", ".join(f"{_alone(one.expression)} as {_quoted(one.column)}" for one in expressions)
        self._query = f"select {listed} from given"
        self._refusals, self._made_bytes = 0, 0

    def columns(self, known: Collection[str]) -> set[str]:
        """Return the columns that the expressions read. Raises WrongExpression naming the first that is not allowed."""
        read: set[str] = set()
        for one in self._expressions:
            try:
                read |= self._read(one.expression, known)
            except WrongExpression as error:
                raise WrongExpression(f"'{one.column}': {error}") from None
        return read

    def typed(self, schema: pa.Schema) -> pa.Schema:
        """Return the types of the expressions' columns. Raises WrongExpression."""
        try:
            found = self._run(schema.empty_table()).schema
        except (duckdb.Error, MemoryError, pa.ArrowMemoryError) as error:
            raise WrongExpression(self._said(error)) from None
        # A row of nulls shows what an expression needs without any column, such as a text too long for every row.
        nulls = pa.table([pa.nulls(1, one.type) for one in schema], names=schema.names)
        try:
            self._run(nulls)
        except (duckdb.OutOfMemoryException, MemoryError, pa.ArrowMemoryError) as error:
            raise WrongExpression(self._said(error)) from None
        except duckdb.Error:
            pass  # the expression may not accept nulls
        return found

    def computed(self, table: pa.Table, faults: Faults) -> pa.Table:
        """Return the columns. A row for which there is no answer has a fault, and nulls.

        Raises WrongExpression where they take too much memory.
        """
        self._refusals, self._made_bytes = 0, 0
        return self._isolated(table, faults) if self._expressions else pa.table({})

    def _isolated(self, table: pa.Table, faults: Faults) -> pa.Table:
        try:
            made = self._run(table)
            self._made_bytes += made.nbytes
            if self._made_bytes > self._max_bytes:
                raise self._too_large()
            return made
        except (duckdb.Error, MemoryError, pa.ArrowMemoryError) as error:
            if not isinstance(error, duckdb.Error) or isinstance(error, duckdb.OutOfMemoryException):
                self._refusals += 1
                if self._refusals > _MAX_REFUSALS:
                    raise self._too_large() from None
            if table.num_rows == 1:
                faults.add(faults.good, ", ".join(one.column for one in self._expressions), self._said(error))
                return pa.Table.from_pylist([{}], self._run(table.schema.empty_table()).schema)
        half = table.num_rows // 2
        parts = []
        for start, part in ((0, table.slice(0, half)), (half, table.slice(half))):
            inner = Faults(part.num_rows)
            parts.append(self._isolated(part, inner))
            faults.merge(inner, start)
        return pa.concat_tables(parts)

    def _run(self, table: pa.Table) -> pa.Table:
        self._connection.register("given", table)
        try:
            with at_most_more(self._max_bytes):
                found = self._connection.execute(self._query).to_arrow_table()
        finally:
            self._connection.unregister("given")
        if found.num_rows != table.num_rows:
            raise WrongExpression("does not compute a value for each row")
        return found.combine_chunks()

    def _too_large(self) -> WrongExpression:
        message = f"the computed columns of a chunk of rows take more than {self._max_bytes >> 20} MiB"
        return WrongExpression(f"{message}: make no text or list longer than the model and its readers need")

    def _said(self, error: Exception) -> str:
        if not isinstance(error, duckdb.Error) or isinstance(error, duckdb.OutOfMemoryException):
            return f"it takes more than {self._max_bytes >> 20} MiB"
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return lines[0][:300]

    def _read(self, expression: str, known: Collection[str]) -> set[str]:
        read: set[str] = set()
        self._walk(self._parsed(expression), known, frozenset(), read)
        return read

    def _parsed(self, expression: str) -> Any:
        node, nothing = self._statement(_alone(expression)), self._statement("null")
        (found, *others), _ = node.pop("select_list", [None]), nothing.pop("select_list")
        # The query must have no other clause: an expression that closes its bracket could add a FROM clause.
        if others or node != nothing:
            raise WrongExpression("is not one expression")
        return found

    def _statement(self, column: str) -> Any:
        row = self._connection.execute("select json_serialize_sql(?)", [f"select {column} as x"]).fetchone()
        assert row is not None
        parsed = json.loads(row[0])
        if parsed["error"]:
            raise WrongExpression(parsed.get("error_message", "cannot be parsed"))
        if len(parsed["statements"]) != 1:
            raise WrongExpression("is not one expression")
        return parsed["statements"][0]["node"]

    def _walk(self, part: Any, known: Collection[str], bound: frozenset[str], read: set[str]) -> None:
        if isinstance(part, list):
            for one in part:
                self._walk(one, known, bound, read)
            return
        if not isinstance(part, dict):
            return
        kind = part.get("class")
        if kind is not None and kind not in _CLASSES:
            raise WrongExpression(f"has a {kind.lower()}, and may only be about one row")
        if kind == "COLUMN_REF":
            self._column(part["column_names"], known, bound, read)
        elif kind == "FUNCTION":
            self._function(part)
        elif kind == "LAMBDA":
            names = part["lhs"] if isinstance(part["lhs"], list) else [part["lhs"]]
            bound |= {name for one in names for name in _names(one)}
            self._walk(part["expr"], known, bound, read)
            return
        for name, value in part.items():
            if name != "value":  # a constant's own
                self._walk(value, known, bound, read)

    def _column(self, names: Sequence[str], known: Collection[str], bound: frozenset[str], read: set[str]) -> None:
        if names[0] in bound:
            return
        found = next((column for column in known if column.lower() == names[0].lower()), None)
        if found is None:
            raise WrongExpression(f"there is no column '{'.'.join(names)}'")
        read.add(found)

    def _function(self, part: Any) -> None:
        name = part["function_name"]
        since_now = name.lower() == "age" and len(part["children"]) == 1
        found = self._connection.execute(
            "select function_type, stability, macro_definition, parameters from duckdb_functions() "
            "where function_name = lower(?)",
            [name],
        ).fetchall()
        for kind, stability, definition, parameters in found:
            if kind == "macro":
                # As `list_max`, which is made of others.
                self._walk(self._parsed(definition), (), frozenset(parameters), set())
            elif (kind, stability) != ("scalar", "CONSISTENT"):
                found = []
                break
        if not found or since_now or name.lower() in _OUTSIDE:
            raise WrongExpression(f"{name}() is no function that answers alike for the same row each time")


def _names(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = part.get("column_names")
        return [own[-1]] if own else [name for value in part.values() for name in _names(value)]
    return [name for value in part for name in _names(value)] if isinstance(part, list) else []


def _alone(expression: str) -> str:
    """Return an expression in brackets. The line ends before the closing one, which no comment takes with it."""
    return f"({expression}\n)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
