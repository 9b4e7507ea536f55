"""Batches of predictions that never came: the log finds them, counters tell of them."""

from __future__ import annotations

from typing import Any, Protocol

from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.times import Span

_SQL = load_queries("headrace_monitor.counters.sql")


class Losses(Protocol):
    """What is lost of the log."""

    async def lost_batches(self, connection: Any, span: Span) -> int:
        """Return how many batches were found to be lost in a time, and still are."""
        ...


class LostBatches:
    """Losses as the log has written them down."""

    async def lost_batches(self, connection: Any, span: Span) -> int:
        return await connection.fetchval(_SQL["lost_batches"], span.start, span.end)
