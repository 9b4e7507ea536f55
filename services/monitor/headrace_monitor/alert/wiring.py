"""Alerting put together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from headrace.monitor.v1 import alert_pb2, alert_pb2_grpc
from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.outbox.events import Event
from headrace_servicekit.outbox.outbox import Outbox
from headrace_servicekit.outbox.webhooks import Variety, Webhooks
from headrace_servicekit.outbox.wiring import start_deliveries
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.resources import serve_kind
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server

from headrace_monitor.alert import convert, rows
from headrace_monitor.alert.alerts import Alerts, Rules, Silences
from headrace_monitor.alert.decisions.validation import webhook_violations
from headrace_monitor.alert.evaluator import RuleEvaluator
from headrace_monitor.alert.metrics import AlertMetrics
from headrace_monitor.alert.postgres import PostgresAlerts
from headrace_monitor.alert.servicer import AlertServicer
from headrace_monitor.alert.webhooks import event_in
from headrace_monitor.settings import MonitorSettings

EVALUATE_S = 1.0
SHOW_S = 5.0
EXPIRE_S = 3600.0


async def start_alerts(
    runtime: Runtime[MonitorSettings], server: Server, connections: Connections, other_event: Callable[[Any], Event]
) -> None:
    """Serve AlertService, evaluate rules, notify webhooks. Raises StartError.

    other_event: reads a delivery that is not of an alert.
    """
    settings, clock = runtime.settings, runtime.clock
    metrics = AlertMetrics(runtime.metrics)
    store = PostgresAlerts(connections, metrics)
    feed = ChangeFeed(store, store.open, clock, owner="monitor", max_watches=settings.max_alert_watches)

    def event(row: Any) -> Event:
        return other_event(row) if row["alert"] is None else event_in(row)

    outbox = Outbox(connections, event, hold=settings.webhook_hold)
    guard = await start_deliveries(runtime, settings, outbox, inside=settings.called, count=metrics.delivery)
    servicer = AlertServicer(Alerts(store), feed, runtime.stopping)
    service = alert_pb2.DESCRIPTOR.services_by_name["AlertService"]
    serve_kind(servicer, service, convert.RULES, Rules(store))
    serve_kind(servicer, service, convert.SILENCES, Silences(store))
    webhooks = Webhooks(connections, guard, Variety(rows.webhook, webhook_violations, store.welcome))
    serve_kind(servicer, service, convert.WEBHOOKS, webhooks)
    alert_pb2_grpc.add_AlertServiceServicer_to_server(servicer, server)

    evaluation = RuleEvaluator(store)

    async def show() -> None:
        with suppress(Unavailable):  # health tells; the next round shows it
            counts, lag_s = await store.open_counts(), await store.lag_s()
            metrics.show(counts, lag_s=lag_s, waiting=await outbox.waiting(), watches=feed.watches)

    runtime.every("alerts", EVALUATE_S, evaluation.step)
    runtime.every("old alerts", EXPIRE_S, evaluation.expire)
    runtime.every("alert figures", SHOW_S, show)
    runtime.loop("alert feed", feed.run)
    runtime.every("alert hints", 1.0, feed.listen)
