"""References in PostgreSQL. Every method raises Unavailable while it cannot be reached."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics import serialization
from headrace_statistics.inconclusive import Constant, NotEnoughData, Unreadable
from headrace_statistics.references import ColumnReference, Reference, Source

from headrace_monitor.judge.references.columns import MonitoredColumn, columns_from_json

_SQL = "headrace_monitor.judge.references"
# A reference with hundreds of columns is megabytes.
_SLOW_S = 15.0


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a reference: frozen columns, unusable columns, and all monitored columns."""

    columns: Mapping[str, ColumnReference]
    unfit: Mapping[str, NotEnoughData | Constant | Unreadable]
    monitored: tuple[MonitoredColumn, ...]

    def to_bytes(self) -> bytes:
        judged = json.dumps([asdict(column) for column in self.monitored], allow_nan=False)
        text = serialization.to_json({"columns": self.columns, "unfit": self.unfit, "judged": judged})
        return zlib.compress(text.encode(), 1)

    @staticmethod
    def of_bytes(content: bytes) -> Content:
        inside = serialization.from_json(zlib.decompress(content).decode())
        return Content(inside["columns"], inside["unfit"], columns_from_json(inside["judged"]))


@dataclass(frozen=True, slots=True)
class Draft:
    """A reference to be stored. name: SHA-256 of the artifact, or the bounds of the window. since: the hour from which
    the log is summarised."""

    model: str
    version: str
    source: Source
    name: str
    seasonal: bool
    range: tuple[datetime, datetime] | None
    rows: int
    content: Content
    since: datetime
    client: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StoredReference:
    """A stored reference. monitored: columns in the log, usable or not."""

    number: int
    model: str
    version: str
    seasonal: bool
    range: tuple[datetime, datetime] | None
    reference: Reference
    monitored: tuple[MonitoredColumn, ...]


class References:
    """References by version, with their history. The last few that were read stay in memory: they never change."""

    def __init__(self, connections: Connections, *, remembered: int = 16) -> None:
        self._connections = connections
        self._sql = load_queries(_SQL)
        self._remembered: dict[int, StoredReference] = {}
        self._most = remembered

    async def current(self, model: str, version: str) -> StoredReference | None:
        """Return the reference that a version's windows are compared with."""
        rows = await self._fetch("newest", model, version)
        return await self.get(rows[0]["number"]) if rows else None

    async def get(self, number: int) -> StoredReference | None:
        """Return a reference by its number."""
        if number not in self._remembered:
            rows = await self._fetch("by_number", number)
            if not rows:
                return None
            made = await asyncio.to_thread(_kept, rows[0])
            while len(self._remembered) >= self._most:
                self._remembered.pop(next(iter(self._remembered)))
            self._remembered[number] = made
        return self._remembered[number]

    async def add(self, draft: Draft, *, only_first: bool = False) -> int | None:
        """Store a reference and note which files of the log are due for it; return its number.

        One that is the same as the present one is not stored again. only_first: nothing is stored, and None returned,
        when the version has a reference.
        """
        content = await asyncio.to_thread(draft.content.to_bytes)
        start, end = draft.range or (None, None)
        async with self._connections.transaction() as connection:
            await connection.fetch(self._sql["lock_version"], draft.model, draft.version)
            present = await connection.fetchrow(self._sql["newest"], draft.model, draft.version)
            if present is not None and only_first:
                return None
            same = (draft.source.value, draft.name, draft.seasonal)
            if present is not None and (present["source"], present["name"], present["seasonal"]) == same:
                return present["number"]
            number = await connection.fetchval(
                self._sql["add"],
                draft.model, draft.version, draft.source.value, draft.name, draft.seasonal, start, end, draft.rows,
                content, draft.since, draft.client, draft.at,
                timeout=_SLOW_S,
            )  # fmt: skip
            await connection.execute(self._sql["note_files"], number, draft.model, draft.version, draft.since)
            await connection.execute(self._sql["forget_attempt"], draft.model, draft.version)
        return number

    async def unreferenced(self, now: datetime, *, limit: int) -> list[tuple[str, str]]:
        """Return versions with traffic and without a reference, but those whose time to be tried again is not there."""
        return [(row["model"], row["version"]) for row in await self._fetch("unreferenced", now, limit)]

    async def note_attempt(self, model: str, version: str, problem: str, again_at: datetime) -> None:
        """Note why a version has no reference."""
        await self._fetch("note_attempt", model, version, problem, again_at)

    async def problem(self, model: str, version: str) -> str | None:
        """Return why a version has no reference, as far as that is known."""
        rows = await self._fetch("attempt", model, version)
        return rows[0]["problem"] if rows else None

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(
            lambda connection: connection.fetch(self._sql[query], *arguments, timeout=_SLOW_S)
        )


def _kept(row: Any) -> StoredReference:
    content = Content.of_bytes(row["content"])
    reference = Reference(Source(row["source"]), row["name"], row["freeze_time"], content.columns, content.unfit)
    chosen = None if row["start_time"] is None else (row["start_time"], row["end_time"])
    return StoredReference(
        row["number"], row["model"], row["version"], row["seasonal"], chosen, reference, content.monitored
    )
