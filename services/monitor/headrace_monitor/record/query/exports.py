"""Export outcomes from PostgreSQL to a file that the view `outcomes` reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.names import first_prediction_id

_SQL = load_queries("headrace_monitor.record.query")
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)


async def models_with_outcomes(connections: Connections) -> list[str]:
    """Return the models that have outcomes, which may have no predictions in the log. Raises Unavailable."""
    rows = await connections.repeatable(lambda connection: connection.fetch(_SQL["models"]))
    return [row["model"] for row in rows]


async def export_outcomes(
    connections: Connections,
    models: Sequence[str],
    start: datetime | None,
    end: datetime | None,
    path: Path,
    *,
    max_bytes: int,
    timeout_s: float,
) -> None:
    """Write the outcomes of models as CSV without a header. start, end: of when their predictions were made.

    Raises ResourceExhausted beyond the bound, Unavailable.
    """
    first, last = (
        _FIRST if start is None else first_prediction_id(start),
        _LAST if end is None else first_prediction_id(end),
    )
    remedy = "name a model in WHERE of each view that it reads from"
    await _export(connections, "outcomes", (list(models), first, last), path, max_bytes, timeout_s, remedy)


async def export_changes(
    connections: Connections,
    model: str,
    kinds: Sequence[str],
    since: int,
    start: datetime,
    path: Path,
    *,
    max_bytes: int,
    timeout_s: float,
) -> None:
    """Write the outcomes of some kinds that have changed since a change, as `export_outcomes` does.

    start: of when their predictions were made.
    """
    arguments = model, since, first_prediction_id(start), list(kinds)
    remedy = "raise MONITOR_EXPERIMENTS_BYTES"
    await _export(connections, "changed_outcomes", arguments, path, max_bytes, timeout_s, remedy)


async def _export(
    connections: Connections,
    query: str,
    arguments: Sequence[Any],
    path: Path,
    max_bytes: int,
    timeout_s: float,
    remedy: str,
) -> None:
    with path.open("wb", buffering=0) as file:
        sink = _Bounded(file, max_bytes, remedy)
        async with connections.transaction(begin="begin read only") as connection:
            # Longer than other statements may take: as long as the query.
            await connection.execute(f"set local statement_timeout = {int(timeout_s * 1000)}")
            await connection.copy_from_query(_SQL[query], *arguments, output=sink, format="csv", timeout=timeout_s)


class _Bounded:
    """Where asyncpg puts what it copies. remedy: for who reads more than that."""

    def __init__(self, file: BinaryIO, max_bytes: int, remedy: str) -> None:
        self._file, self._left, self._max_bytes, self._remedy = file, max_bytes, max_bytes, remedy

    async def __call__(self, content: Any) -> None:
        self._left -= len(content)
        if self._left < 0:
            raise ResourceExhausted(
                f"the query reads more than {self._max_bytes / 1e6:,.0f} MB of outcomes: {self._remedy}",
                reason="QUERY_TOO_LARGE",
            )
        self._file.write(content)
