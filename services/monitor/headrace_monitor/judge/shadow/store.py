"""Comparisons in PostgreSQL, by the hour. Every method raises Unavailable while it cannot be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from headrace_servicekit.postgres.sql import load_queries
from headrace_servicekit.times import Span

from headrace_monitor.judge.shadow.decisions.comparisons import Comparison, from_json, merged, to_json
from headrace_monitor.storage.schema import Database

_SQL = load_queries("headrace_monitor.judge.shadow")


class VersionPair(NamedTuple):
    """A version and its shadow."""

    model: str
    version: str
    shadow_version: str


class Comparisons:
    """What was compared."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, found: Mapping[VersionPair, Comparison], hour: datetime) -> None:
        """Add comparisons to those of an hour."""
        async with self._database.transaction() as connection:
            for pair, comparison in sorted(found.items(), key=lambda item: item[0]):
                await connection.execute(_SQL["make"], *pair, hour)
                before = await connection.fetchval(_SQL["lock"], *pair, hour)
                text = await asyncio.to_thread(_added, before, comparison)
                await connection.execute(_SQL["put"], *pair, hour, text)

    async def of_model(self, model: str, span: Span) -> Mapping[VersionPair, Comparison]:
        """Return what was compared in the hours that begin in a time."""

        async def read(connection: Any) -> Any:
            return await connection.fetch(_SQL["of_model"], model, span.start, span.end)

        rows = await self._database.repeatable(read)
        return await asyncio.to_thread(_merged, model, rows)

    async def models_since(self, hour: datetime) -> frozenset[str]:
        """Return the models of which something was compared in the hours since then."""

        async def read(connection: Any) -> Any:
            return await connection.fetch(_SQL["models_since"], hour)

        return frozenset(row["model"] for row in await self._database.repeatable(read))

    async def expire(self, age: timedelta) -> None:
        """Remove what is older."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["expire"], age)


def _added(before: str, comparison: Comparison) -> str:
    return to_json(merged([from_json(before), comparison]) if before else comparison)


def _merged(model: str, rows: Any) -> Mapping[VersionPair, Comparison]:
    parts: dict[VersionPair, list[Comparison]] = {}
    for row in rows:
        pair = VersionPair(model, row["version"], row["shadow_version"])
        parts.setdefault(pair, []).append(from_json(row["comparison"]))
    return {pair: merged(found) for pair, found in parts.items()}
