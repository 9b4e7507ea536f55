"""What a monitor of 0.1.0 has stored of usage, budgets and rate limits: sent to the router once, page by page.

Nothing is written to the tables any more (migration 0032), so each page has the same rows and the same number however
often, and by how many monitors, it is sent: the router takes each number once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from headrace.router.v1 import budget_pb2, client_limits_pb2, usage_pb2
from headrace_servicekit.postgres.connections import Transactions
from headrace_servicekit.postgres.sql import load_queries

_SQL = load_queries("headrace_monitor.handover")

PAGE_ROWS = 2_000
_FIRST = datetime.min.replace(tzinfo=UTC)
_USE = ("model", "version", "client", "priority", "requests", "rows", "compute_us")
_POOL = ("pool", "present_us", "busy_us")
_LIMIT = ("client", "model", "requests_per_second", "burst", "shadow_mode", "outage")

Request = usage_pb2.TakeOverRequest


class Stored:
    """The rows of the database. Every call raises Unavailable while it is away."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def pages(self) -> AsyncIterator[Request]:
        """Yield what is to be handed over, in numbered pages; nothing once it is."""
        (state,) = await self._rows("state")
        if state["is_over"]:
            return
        number = 0
        async for page in self._pages(limits=not state["limits_are_over"]):
            page.page = number = number + 1
            yield page

    async def handed_over(self) -> None:
        """Note that the router has all of it."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["handed_over"])

    async def _pages(self, *, limits: bool) -> AsyncIterator[Request]:
        budgets = map(_budget, await self._rows("budgets"))
        rate_limits = map(_rate_limit, await self._rows("rate_limits")) if limits else ()
        yield Request(budgets=budgets, rate_limits=rate_limits)
        last = ""
        while rows := await self._rows("processes", last, PAGE_ROWS):
            last = rows[-1]["process"]
            yield Request(processes=[Request.ReportingProcess(**row) for row in rows])
        hour = _FIRST
        while (hour := (await self._rows("next_hour", hour))[0][0]) is not None:
            for page in _hour(await self._rows("hour", hour), await self._rows("pools", hour)):
                yield page

    async def _rows(self, query: str, *arguments: Any) -> Sequence[Any]:
        return await self._database.repeatable(lambda connection: connection.fetch(_SQL[query], *arguments))


def _hour(uses: Sequence[Any], pools: Sequence[Any]) -> Iterator[Request]:
    page = Request()
    for row in pools:
        page.pool_hours.add(hour_s=_seconds(row), **{field: row[field] for field in _POOL})
    for number, row in enumerate(uses, 1):
        use = usage_pb2.ComputeUse(**{field: row[field] for field in _USE})
        page.usage_hours.add(hour_s=_seconds(row), pool=row["pool"], use=use)
        if number % PAGE_ROWS == 0:
            yield page
            page = Request()
    yield page


def _seconds(row: Any) -> int:
    return int(row["hour"].timestamp())


def _budget(row: Any) -> budget_pb2.Budget:
    return budget_pb2.Budget(
        name=f"budgets/{row['name']}",
        client=row["client"],
        model=row["model"],
        period=row["period"],
        compute_s=row["compute_us"] / 1e6,
        refuse_above_s=row["refuse_above_us"] / 1e6,
    )


def _rate_limit(row: Any) -> client_limits_pb2.RateLimit:
    return client_limits_pb2.RateLimit(name=f"rateLimits/{row['name']}", **{field: row[field] for field in _LIMIT})
