"""Rules, alerts and silences in PostgreSQL: what is read, and turns to change them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from headrace_servicekit.coordination.feeds import Position
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.alert import rows
from headrace_monitor.alert.decisions.values import AlertView, Rule, Silence, Webhook
from headrace_monitor.alert.metrics import AlertMetrics
from headrace_monitor.alert.postgres_transaction import PostgresAlertTransaction
from headrace_monitor.alert.webhooks import narrow

_SQL = load_queries("headrace_monitor.alert")

CHANNEL = "monitor_alerts"

# Any number will do, as long as nothing else takes the same lock in this database.
_TURN = 0x616C_6572_7473

_EXPIRE_AT_ONCE = 5_000
_PAGE = 100


class PostgresAlerts:
    """Implements AlertStore on a database that several replicas share."""

    def __init__(self, connections: Connections, metrics: AlertMetrics) -> None:
        self._connections, self._metrics = connections, metrics

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresAlertTransaction]:
        async with self._connections.transaction() as connection:
            transaction = await self._turn(connection)
            yield transaction
        self._metrics.delivery("dead", transaction.dropped)

    @asynccontextmanager
    async def transaction_if_free(self) -> AsyncIterator[PostgresAlertTransaction | None]:
        async with self._connections.transaction() as connection:
            transaction = None
            if await connection.fetchval(_SQL["try_lock"], _TURN):
                transaction = PostgresAlertTransaction(connection, await connection.fetchval(_SQL["now"]))
            yield transaction
        if transaction is not None:
            self._metrics.delivery("dead", transaction.dropped)

    async def welcome(self, connection: Any, webhook: Webhook) -> None:
        """Write which alerts a webhook wants, and send it what is open: in the transaction that wrote the webhook."""
        transaction = await self._turn(connection)
        await narrow(connection, webhook)
        await transaction.notify_open()
        self._metrics.delivery("dead", transaction.dropped)

    async def rules(self) -> list[Rule]:
        return [rows.rule(row) for row in await self._fetch("rules")]

    async def silences(self) -> list[Silence]:
        return [rows.silence(row) for row in await self._fetch("silences")]

    async def alert(self, number: int) -> AlertView | None:
        found = await self._fetch("alert", number)
        return rows.shown(found[0]) if found else None

    async def alerts(self, *, before: int, model: str | None, is_open: bool | None, limit: int) -> list[AlertView]:
        return [rows.shown(row) for row in await self._fetch("alerts", before, model, is_open, limit)]

    async def open(self) -> AsyncIterator[AlertView]:
        last = 0
        while page := [rows.shown(row) for row in await self._fetch("open_shown", last, _PAGE)]:
            for one in page:
                last = one.alert.id or last
                yield one

    async def changed_since(self, sequence: int, *, limit: int) -> list[AlertView]:
        return [rows.shown(row) for row in await self._fetch("changed_since", sequence, limit)]

    async def position(self) -> Position:
        return Position(*(await self._fetch("position"))[0])

    async def lag_s(self) -> float:
        return (await self._fetch("oldest_pending"))[0][0]

    async def open_counts(self) -> list[tuple[str, int, int]]:
        return [(row["model"], row["severity"], row["count"]) for row in await self._fetch("open_counts")]

    async def expire(self, *, observations: timedelta, series: timedelta, alerts: timedelta) -> bool:
        async with self._connections.transaction() as connection:
            removed = [
                await connection.execute(_SQL["expire_observations"], observations, _EXPIRE_AT_ONCE),
                await connection.execute(_SQL["expire_alerts"], alerts, _EXPIRE_AT_ONCE),
            ]
            await connection.execute(_SQL["expire_series"], series)
        return f"DELETE {_EXPIRE_AT_ONCE}" in removed

    def wakes(self) -> AsyncIterator[None]:
        return self._connections.notices(CHANNEL)

    @staticmethod
    async def _turn(connection: Any) -> PostgresAlertTransaction:
        await connection.execute(_SQL["lock"], _TURN)
        return PostgresAlertTransaction(connection, await connection.fetchval(_SQL["now"]))

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        return await self._connections.repeatable(lambda connection: connection.fetch(_SQL[query], *arguments))
