"""Windows in PostgreSQL, and which files of the log are in them. The SQL is in `queries.sql`."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.errors import Aborted
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics import serialization

from headrace_monitor.judge.windows.decisions.window_summaries import EMPTY, Window, WindowKey, even
from headrace_monitor.judge.windows.store import LEASE, PendingFile
from headrace_monitor.record.log.files import file_of

_SQL = "headrace_monitor.judge.windows"
# A window of hundreds of columns is a few hundred kilobytes.
_PAGE = 32
_SLOW_S = 15.0
_KEY = ("start_time", "seconds", "variant", "source", "probability")


class WindowRow(NamedTuple):
    """A window as it is kept: the last columns of its row."""

    rows: int
    predictions: str
    summaries: bytes
    unit_sums: bytes


class PostgresWindows:
    """Implements WindowStore. lease: of files that a process has claimed to summarise them."""

    def __init__(self, connections: Connections, lease: timedelta = LEASE) -> None:
        self._connections = connections
        self._claims = WorkClaims(
            "window_files",
            {"reference": "bigint", "file": "bigint"},
            due="waiting and reference = $3 and file = any($4::bigint[])",
            order="file",
            lease=lease,
        )
        self._sql = load_queries(_SQL)

    async def newest_file(self) -> int:
        ((number,),) = await self._fetch("newest_file")
        return number

    async def candidates(self, behind: int, *, limit: int) -> list[PendingFile]:
        found = await self._fetch("candidates", behind, limit)
        return [PendingFile(row["reference"], file_of(row)) for row in found]

    async def claim(self, due: Sequence[PendingFile]) -> list[PendingFile]:
        if not due:
            return []
        files = [each.file.id for each in due]
        async with self._connections.transaction() as connection:
            await connection.execute(self._sql["note"], due[0].reference, files)
            rows = await self._claims.claim(connection, len(files), due[0].reference, files)
        mine = {row["file"]: row for row in rows}
        return [replace(each, row=mine[each.file.id]) for each in due if each.file.id in mine]

    def attempt(self, due: Sequence[PendingFile]) -> AbstractAsyncContextManager[None]:
        return self._claims.attempt(self._connections, [each.row for each in due])

    async def put(self, due: Sequence[PendingFile], windows: Mapping[WindowKey, Window]) -> None:
        reference, files = due[0].reference, [each.file.id for each in due]
        async with self._connections.transaction() as connection:
            await connection.fetch(self._sql["lock_reference"], reference)
            if len(await self._claims.mine(connection, [each.row for each in due])) != len(files):
                raise Aborted("another process summarises these files", reason="LEASE_LOST")
            await connection.execute(self._sql["take"], reference, files)
            for key, window in sorted(windows.items(), key=lambda item: item[0]):
                place = (reference, key.start, key.seconds, key.variant, key.source, key.probability)
                row = await connection.fetchrow(self._sql["window"], *place)
                packed = await asyncio.to_thread(merged, row, window)
                await connection.execute(self._sql["put_window"], *place, *packed, timeout=_SLOW_S)

    async def total(self, reference: int, start: datetime, end: datetime) -> Window:
        found: dict[float, Window] = {}
        after: tuple[Any, ...] = (datetime(1, 1, 1, tzinfo=UTC), 0, "", "", 0.0)
        while True:
            rows = await self._fetch("windows_between", reference, start, end, *after, _PAGE)
            await asyncio.to_thread(_add, found, rows)
            if len(rows) < _PAGE:
                return await asyncio.to_thread(even, found)
            after = tuple(rows[-1][name] for name in _KEY)

    async def waiting(self, reference: int, model: str, version: str, start: datetime, end: datetime) -> bool:
        hour = start.replace(minute=0, second=0, microsecond=0)
        ((found,),) = await self._fetch("waiting", reference, model, version, hour, end)
        return found

    async def expire(self, before: datetime, *, files: int) -> None:
        await self._fetch("expire", before)
        await self._fetch("expire_files", files)

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(
            lambda connection: connection.fetch(self._sql[query], *arguments, timeout=_SLOW_S)
        )


def merged(row: Any, window: Window) -> WindowRow:
    """Return the row of a window merged with the stored row. row: the stored row; None without one."""
    if row is not None:
        window = _content(row).merge(window)
    summaries = zlib.compress(serialization.to_json(window.summaries).encode(), 1)
    units = zlib.compress(serialization.to_json(window.units).encode(), 1)
    return WindowRow(window.rows, serialization.to_json(window.predictions), summaries, units)


def _add(found: dict[float, Window], rows: Sequence[Any]) -> None:
    """Add windows to those of the same probability."""
    for row in rows:
        window = _content((row["rows"], row["predictions"], row["summaries"], row["unit_sums"]))
        found[row["probability"]] = found.get(row["probability"], EMPTY).merge(window)


def _content(row: Any) -> Window:
    rows, predictions, summaries, units = row
    window = Window(
        rows, serialization.from_json(zlib.decompress(summaries).decode()), serialization.from_json(predictions)
    )
    if units is None:  # written by an older release
        return window
    return replace(window, units=serialization.from_json(zlib.decompress(units).decode()))
