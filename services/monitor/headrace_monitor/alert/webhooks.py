"""Webhooks of the monitor, and what they are to be sent of alerts: written in the transaction of what changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from headrace_servicekit.outbox.events import Event
from headrace_servicekit.outbox.outbox import Notice, enqueue
from headrace_servicekit.postgres.sql import load_queries
from headrace_statistics.severity import Severity

from headrace_monitor.alert import rows
from headrace_monitor.alert.decisions.events import event_of
from headrace_monitor.alert.decisions.notifications import missing_notifications
from headrace_monitor.alert.decisions.values import Alert, Kind, Notification, Silence, Webhook

_SQL = load_queries("headrace_monitor.alert")


async def webhooks(connection: Any) -> list[Webhook]:
    """Return all of them, by name."""
    return [rows.webhook(row) for row in await connection.fetch(_SQL["webhooks"])]


async def narrow(connection: Any, webhook: Webhook) -> None:
    """Write which alerts a webhook wants."""
    await connection.execute(_SQL["narrow_webhook"], webhook.name, int(webhook.at_least), webhook.retrain_only)


async def notify(connection: Any, alerts: Sequence[Alert], silences: Sequence[Silence], now: datetime) -> int:
    """Write what webhooks have to be sent of these alerts and were not; safe to repeat. Return what found no room."""
    receivers = await webhooks(connection)
    if not receivers or not alerts:
        return 0
    by_id = {alert.id: alert for alert in alerts}
    sent = [_notification(row) for row in await connection.fetch(_SQL["sent_notifications"], list(by_id))]
    news = missing_notifications(alerts, receivers, silences, sent, now)
    return await enqueue(
        connection,
        [
            Notice(one.webhook, str(one.alert), f"{one.kind}/{int(one.severity)}", rows.alert_text(by_id[one.alert]))
            for one in news
        ],
    )


def event_in(row: Any) -> Event:
    """Return what a row of deliveries says."""
    return event_of(row["id"], _once(row)[0], rows.alert_of(row["body"]), row["create_time"])


def _notification(row: Any) -> Notification:
    return Notification(row["webhook"], row["alert"], *_once(row))


def _once(row: Any) -> tuple[Kind, Severity]:
    kind, _, severity = row["once"].partition("/")
    return Kind(kind), Severity(int(severity))
