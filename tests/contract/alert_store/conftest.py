"""Every store of alerts: the same tests on memory and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest
from headrace_monitor.alert.decisions.values import Kind, Notification, Webhook
from headrace_monitor.alert.metrics import AlertMetrics
from headrace_monitor.alert.observations import Observation, Observations
from headrace_monitor.alert.postgres import PostgresAlerts
from headrace_monitor.alert.store import AlertStore
from headrace_monitor.storage.schema import Database
from headrace_servicekit.outbox.webhooks import write_webhook
from headrace_servicekit.postgres.connections import Address
from headrace_statistics.severity import Severity
from prometheus_client import CollectorRegistry

from tests.kit.monitor.memory_alerts import MemoryAlerts


@dataclass(frozen=True, slots=True)
class Rig:
    """A store, how to put observations and webhooks, and what webhooks are to be sent, in order."""

    store: AlertStore
    put: Callable[[Sequence[Observation]], Awaitable[None]]
    put_webhook: Callable[[Webhook], Awaitable[None]]
    notifications: Callable[[], Awaitable[list[Notification]]]


@pytest.fixture
def memory_alerts() -> Rig:
    store = MemoryAlerts()

    async def notifications() -> list[Notification]:
        return store.notifications

    return Rig(store, store.put, store.put_webhook, notifications)


@pytest.fixture
async def postgres_alerts(postgres_url: str) -> AsyncIterator[Rig]:
    async with Database(Address(postgres_url), size=5) as database:
        await database.migrate()
        async with database.transaction() as connection:
            await connection.execute("delete from alert_rules")  # those of a new installation

        async def put(observations: Sequence[Observation]) -> None:
            async with database.transaction() as connection:
                await Observations.put(connection, observations)

        async def put_webhook(webhook: Webhook) -> None:
            async with database.transaction() as connection:
                await write_webhook(connection, webhook, "ann")
                await alerts.welcome(connection, webhook)

        async def notifications() -> list[Notification]:
            async with database.transaction() as connection:
                rows = await connection.fetch("select webhook, alert, once from deliveries order by number")
            told = [(row["webhook"], row["alert"], *row["once"].split("/")) for row in rows]
            return [Notification(hook, alert, Kind(kind), Severity(int(bad))) for hook, alert, kind, bad in told]

        alerts = PostgresAlerts(database, AlertMetrics(CollectorRegistry()))
        yield Rig(alerts, put, put_webhook, notifications)


@pytest.fixture(params=["memory_alerts", "postgres_alerts"])
def rig(request) -> Rig:
    return request.getfixturevalue(request.param)
