"""Webhooks in the database, and what they are to be sent of alerts: written in the transaction of what changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from headrace_servicekit.outbox.events import Event
from headrace_servicekit.outbox.outbox import Notice, enqueue, hurry
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics.severity import Severity

from headrace_monitor.alert import rows
from headrace_monitor.alert.decisions.events import event_of
from headrace_monitor.alert.decisions.notifications import missing_notifications
from headrace_monitor.alert.decisions.values import Alert, Kind, Notification, Silence, Webhook, WebhookStatus

_SQL = load_queries("headrace_monitor.alert.webhooks")


async def webhook(connection: Any, name: str) -> Webhook | None:
    """Return a webhook."""
    row = await connection.fetchrow(_SQL["webhook"], name)
    return None if row is None else rows.webhook(row)


async def webhooks(connection: Any) -> list[Webhook]:
    """Return all of them, by name."""
    return [rows.webhook(row) for row in await connection.fetch(_SQL["webhooks"])]


async def count_webhooks(connection: Any, client: str) -> tuple[int, int]:
    """Return how many webhooks there are: in all, and made by one client."""
    return tuple(await connection.fetchrow(_SQL["count_webhooks"], client))


async def put_webhook(connection: Any, one: Webhook, client: str) -> None:
    """Make or replace a webhook; what waits for it goes at once. client: who makes it, if nobody did before."""
    arguments = (one.name, one.url, one.secret, one.format, int(one.at_least), one.model, one.retrain_only, client)
    await connection.execute(_SQL["put_webhook"], *arguments)
    await hurry(connection, one.name)


async def delete_webhook(connection: Any, name: str) -> None:
    """Remove a webhook with what waits for it."""
    await connection.execute(_SQL["delete_webhook"], name)


async def notify(connection: Any, alerts: Sequence[Alert], silences: Sequence[Silence], now: datetime) -> int:
    """Write what webhooks have to be sent of these alerts and were not; safe to repeat. Return what found no room."""
    receivers = await webhooks(connection)
    if not receivers or not alerts:
        return 0
    by_id = {alert.id: alert for alert in alerts}
    sent = [_notification(row) for row in await connection.fetch(_SQL["told"], list(by_id))]
    news = missing_notifications(alerts, receivers, silences, sent, now)
    return await enqueue(
        connection,
        [
            Notice(one.webhook, str(one.alert), f"{one.kind}/{int(one.severity)}", rows.alert_text(by_id[one.alert]))
            for one in news
        ],
    )


async def statuses(connections: Connections) -> list[WebhookStatus]:
    """Return the webhooks by name, with how their deliveries go."""
    found = await connections.repeatable(lambda connection: connection.fetch(_SQL["statuses"]))
    return [
        WebhookStatus(rows.webhook(row), row["waiting"], row["last_error"], row["last_success_time"]) for row in found
    ]


def event_in(row: Any) -> Event:
    """Return what a row of deliveries tells."""
    return event_of(row["id"], _once(row)[0], rows.alert_of(row["body"]), row["create_time"])


def _notification(row: Any) -> Notification:
    return Notification(row["webhook"], row["alert"], *_once(row))


def _once(row: Any) -> tuple[Kind, Severity]:
    kind, _, severity = row["once"].partition("/")
    return Kind(kind), Severity(int(severity))
