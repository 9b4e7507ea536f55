"""What waits to be told, in the database: written in the transaction of what it tells of."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics.severity import Severity

from headrace_monitor.alerts import rows
from headrace_monitor.alerts.values import Alert, Delivery, Kind, Silence, Telling, Webhook, WebhookStatus
from headrace_monitor.alerts.webhooks.telling import untold

log = structlog.get_logger()

_SQL = load_queries("headrace_monitor.alerts.webhooks")

# Of one webhook. What comes when so much waits is dead at once: a receiver that is away for a day has missed the day.
MAX_WAITING = 10_000


async def webhook(connection: Any, name: str) -> Webhook | None:
    """Return a webhook."""
    row = await connection.fetchrow(_SQL["webhook"], name)
    return None if row is None else rows.webhook(row)


async def count_webhooks(connection: Any, client: str) -> tuple[int, int]:
    """Return how many webhooks there are: in all, and made by one client."""
    return tuple(await connection.fetchrow(_SQL["count_webhooks"], client))


async def put_webhook(connection: Any, one: Webhook, client: str) -> None:
    """Make or replace a webhook; what waits for it goes at once. client: who makes it, if nobody did before."""
    arguments = (one.name, one.url, one.secret, one.format, int(one.at_least), one.model, one.retrain_only, client)
    await connection.execute(_SQL["put_webhook"], *arguments)
    await connection.execute(_SQL["hurry"], one.name)


async def delete_webhook(connection: Any, name: str) -> None:
    """Remove a webhook with what waits for it."""
    await connection.execute(_SQL["delete_webhook"], name)


async def enqueue(connection: Any, alerts: Sequence[Alert], silences: Sequence[Silence], now: datetime) -> int:
    """Write what webhooks have to be told of these alerts and were not; safe to repeat. Return what found no room."""
    webhooks = [rows.webhook(row) for row in await connection.fetch(_SQL["webhooks"])]
    if not webhooks or not alerts:
        return 0
    by_id = {alert.id: alert for alert in alerts}
    told = [_telling(row) for row in await connection.fetch(_SQL["told"], list(by_id))]
    news = untold(alerts, webhooks, silences, told, now)
    if not news:
        return 0
    waiting = {row["webhook"]: row["count"] for row in await connection.fetch(_SQL["waiting"])}
    dropped = 0
    for one in news:
        full = waiting.get(one.webhook, 0) >= MAX_WAITING
        if full:
            dropped += 1
            log.warning("too much waits for a webhook", webhook=one.webhook, alert=one.alert, kind=one.kind.value)
        else:
            waiting[one.webhook] = waiting.get(one.webhook, 0) + 1
        body = rows.alert_text(by_id[one.alert])
        state = "dead" if full else "waiting"
        arguments = (uuid.uuid4(), one.webhook, one.alert, one.kind, int(one.severity), body, state)
        await connection.execute(_SQL["insert_delivery"], *arguments)
    return dropped


class Outbox:
    """Taking deliveries, and saying what became of them. Each of these is a transaction of its own."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def claim(self, full: Iterable[str], *, per_webhook: int, most: int, hold: timedelta) -> list[Delivery]:
        """Take what is due, except of the webhooks in `full`. It comes again after `hold` unless it is settled.

        most: in all.
        """
        async with self._connections.transaction() as connection:
            found = await connection.fetch(_SQL["claim"], list(full), per_webhook, hold, most)
        with self._connections.reading():
            taken = [
                Delivery(
                    row["number"],
                    row["id"],
                    rows.webhook(row),
                    Kind(row["kind"]),
                    rows.alert_of(row["body"]),
                    row["create_time"],
                    row["attempts"],
                )
                for row in found
            ]
        return sorted(taken, key=lambda delivery: delivery.number)

    async def delivered(self, delivery: Delivery) -> None:
        """Say that a webhook took a delivery."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["delivered"], delivery.number)
            await connection.execute(_SQL["succeeded"], delivery.webhook.name)

    async def put_off(self, delivery: Delivery, pause: timedelta, problem: str) -> None:
        """Say that a delivery failed, and when it is tried again."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["put_off"], delivery.number, pause)
            await connection.execute(_SQL["failed"], delivery.webhook.name, problem)

    async def give_up(self, delivery: Delivery, problem: str) -> None:
        """Say that a delivery failed for good."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["give_up"], delivery.number)
            await connection.execute(_SQL["failed"], delivery.webhook.name, problem)

    async def statuses(self) -> list[WebhookStatus]:
        """Return the webhooks by name, with how their deliveries go."""
        found = await self._connections.repeatable(lambda connection: connection.fetch(_SQL["statuses"]))
        return [
            WebhookStatus(rows.webhook(row), row["waiting"], row["last_error"], row["last_success_time"])
            for row in found
        ]

    async def waiting(self) -> int:
        """Return how many deliveries wait."""
        return await self._connections.repeatable(lambda connection: connection.fetchval(_SQL["waiting_in_all"]))


def _telling(row: Any) -> Telling:
    return Telling(row["webhook"], row["alert"], Kind(row["kind"]), Severity(row["severity"]))
