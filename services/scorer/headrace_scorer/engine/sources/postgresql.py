"""What a query of PostgreSQL, or of what speaks as it does, answers: by ADBC, batch by batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
from headrace_servicekit.columns import UnsoundColumnError

from headrace_scorer.engine.messages import PlanOrder
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.sources.streams import Stream, stream_of

# A query that has not ended by then is ended by the database.
QUERY_S = 6 * 3600
# A server that has gone, with its machine or without, is noticed.
_CONNECTION = {"connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
# SQLSTATE of a server that is away or about to be, or has no room for now: classes, and codes of the others.
_AWAY_CLASSES, _AWAY = ("08", "53"), ("57P01", "57P02", "57P03")
_DRIVER = re.compile(r"^([A-Z_]+: )?\[libpq\] (Failed to connect: )?")
_REACHED = re.compile(r"connection to server .*?failed: ")
# Servers have them in every language.
_QUOTE = '["«»„“”‹›「」]'


def schema(order: PlanOrder) -> pa.Schema:
    """Return the columns that a query answers, without running it. Raises Failed."""
    with _transaction(order) as cursor, _errors(order):
        return cursor.adbc_execute_schema(_query(order))


@contextmanager
def rows(order: PlanOrder, columns: Sequence[str]) -> Iterator[Stream]:
    """Yield the rows of a query, all of its columns: what it computes is its own affair. Raises Failed."""
    with _transaction(order) as cursor:
        with _errors(order):
            cursor.execute(_query(order))
            found = cursor.fetch_record_batch()
        yield stream_of(found, lambda: _reading(order, cursor))


def _query(order: PlanOrder) -> str:
    """Return the query in a form that the driver can put in parentheses, also if its last line is a comment."""
    source = order.work.spec.source
    assert source is not None
    return source.query.rstrip().rstrip(";") + "\n"


@contextmanager
def _transaction(order: PlanOrder) -> Iterator[Any]:
    """Yield a cursor in a read-only transaction on one snapshot."""
    try:
        from adbc_driver_postgresql import dbapi  # an extra
    except ImportError:
        message = "this scorer asks no databases"
        raise Failed("READER_MISSING", f"{message}: install headrace-scorer[sql], or write Parquet") from None
    assert order.source is not None
    with ExitStack() as stack:
        with _errors(order):
            connection = stack.enter_context(dbapi.connect(_uri(order.source.uri)))
            cursor = stack.enter_context(connection.cursor())
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute(f"SET LOCAL statement_timeout = '{QUERY_S}s'")
        yield cursor


@contextmanager
def _errors(order: PlanOrder) -> Iterator[None]:
    from adbc_driver_manager import Error

    try:
        yield
    except Error as error:
        raise _failed(order, error) from None


@contextmanager
def _reading(order: PlanOrder, cursor: Any) -> Iterator[None]:
    """What rows raise while they are read as Arrow says neither who is to blame nor a SQLSTATE."""
    try:
        yield
    except (pa.ArrowException, UnsoundColumnError) as error:  # what cannot be done, or what Arrow has no type for
        raise _refused(order, error) from None
    except OSError as error:
        with _errors(order):
            cursor.connection.rollback()
        # Who still answers was not away: the query itself cannot be answered to its end.
        raise _refused(order, error) from None


def _uri(uri: str) -> str:
    """Return where the database is, with settings of a connection that the operator did not give."""
    parameters = uri.partition("?")[2]
    more = "&".join(f"{name}={value}" for name, value in _CONNECTION.items() if f"{name}=" not in parameters)
    return f"{uri}{'&' if parameters else '?'}{more}"


def _failed(order: PlanOrder, error: Exception) -> Failed:
    source = order.work.spec.source
    assert source is not None
    state = getattr(error, "sqlstate", None) or ""
    if not state or state.startswith(_AWAY_CLASSES) or state in _AWAY:
        message = f"source '{source.name}' cannot be asked ({_why(error, state)})"
        return Failed("SOURCE_UNAVAILABLE", message, transient=True)
    return _refused(order, error, f" ({state})")


def _why(error: Exception, state: str) -> str:
    """Return why a database did not answer, without its address, user and settings, which callers must not see.

    The driver's message has address and user before `failed:` or in quotation marks: all from the first mark to the
    last is removed, since a quoted value may contain the mark. A message about the driver's own settings, which may
    include a password, is cut at the first mark.
    """
    whole = _DRIVER.sub("", str(error).strip())
    if not whole or "://" in whole:
        return state or type(error).__name__
    reached = _REACHED.match(whole)
    line = whole[reached.end() if reached else 0 :].splitlines()[0]
    said = re.sub(rf"{_QUOTE}.*{_QUOTE}|{_QUOTE}.*" if reached or state else f"{_QUOTE}.*", '"…"', line)
    return (f"{state}: " if state else "") + said[:300]


def _refused(order: PlanOrder, error: Exception, state: str = "") -> Failed:
    source = order.work.spec.source
    assert source is not None
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return Failed("SOURCE_UNUSABLE", f"source '{source.name}' refuses the query{state}: {lines[0][:500]}")
