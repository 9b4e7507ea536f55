"""Read access to stored decisions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from headrace_servicekit.errors import NotFound
from headrace_servicekit.postgres.connections import Transactions

from headrace_autoscaler.storage.database import QUERIES
from headrace_autoscaler.storage.values import DecisionRow, DemandMinute, Outcome

NEWEST = 2**63 - 1
_PAGE = 200


class Decisions:
    """The tables of decisions and of their history. Every method raises Unavailable."""

    def __init__(self, connections: Transactions) -> None:
        self._connections = connections

    async def decision(self, pool: str, number: int | None) -> DecisionRow:
        """Return a decision by its number, or the latest one. Raises NotFound."""
        found = await self.find(pool, number)
        if found is None:
            what = "no decision yet" if number is None else f"no decision {number}, or it has expired"
            raise NotFound(f"pool '{pool}' has {what}", reason="DECISION_NOT_FOUND", metadata={"pool": pool})
        return found

    async def find(self, pool: str, number: int | None) -> DecisionRow | None:
        """Return a decision by its number, or the latest one, if there is one."""
        query, arguments = ("latest_decision", (pool,)) if number is None else ("decision", (pool, number))
        row = await self._connections.repeatable(lambda connection: connection.fetchrow(QUERIES[query], *arguments))
        return None if row is None else decision_row(row)

    async def decisions(
        self,
        pool: str,
        *,
        before: int | None,
        only_changes: bool,
        start: datetime | None,
        end: datetime | None,
        limit: int,
    ) -> list[DecisionRow]:
        """Return decisions below a number, the latest first, without their memory."""
        arguments = (pool, NEWEST if before is None else before, only_changes, start, end, limit)
        rows = await self._connections.repeatable(lambda connection: connection.fetch(QUERIES["decisions"], *arguments))
        return [decision_row(row) for row in rows]

    async def recorded(self, pool: str, start: datetime, end: datetime) -> AsyncIterator[DecisionRow]:
        """Yield decisions of a time, whole, in the order in which they were made."""
        number = 0
        while True:
            arguments = (pool, number, start, end, _PAGE)
            rows = await self._connections.repeatable(
                lambda connection, arguments=arguments: connection.fetch(QUERIES["recorded"], *arguments)
            )
            for row in rows:
                yield decision_row(row)
                number = row["number"]
            if len(rows) < _PAGE:
                return

    async def history(self, pool: str, metric: str, start: datetime, end: datetime) -> list[DemandMinute]:
        """Return the demand of a pool by the minute."""
        rows = await self._connections.repeatable(
            lambda connection: connection.fetch(QUERIES["history"], pool, metric, start, end)
        )
        return [DemandMinute(pool=pool, metric=metric, **dict(row)) for row in rows]


def decision_row(row: Any) -> DecisionRow:
    """Return the decision in a row."""
    return DecisionRow(**{**dict(row), "outcome": Outcome(row["outcome"])})
