"""Alerting put together."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from headrace.monitor.v1 import alert_pb2_grpc
from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.loops import periodic
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.runtime import Runtime, StartError
from headrace_servicekit.server import Server

from headrace_monitor.alerts.alerting import Alerting
from headrace_monitor.alerts.evaluator import RuleEvaluator
from headrace_monitor.alerts.metrics import AlertMetrics
from headrace_monitor.alerts.servicer import AlertServicer
from headrace_monitor.alerts.store import AlertStore
from headrace_monitor.alerts.webhooks.allowing import Allowed
from headrace_monitor.alerts.webhooks.authorities import Authorities
from headrace_monitor.alerts.webhooks.delivering import Deliveries, Patience
from headrace_monitor.alerts.webhooks.destinations import Rules
from headrace_monitor.alerts.webhooks.inside import hosts
from headrace_monitor.alerts.webhooks.outbox import Outbox
from headrace_monitor.alerts.webhooks.posting import Poster
from headrace_monitor.alerts.webhooks.resolving import Guard
from headrace_monitor.settings import MonitorSettings

EVALUATE_S = 1.0
SHOW_S = 5.0
EXPIRE_S = 3600.0


async def start_alerts(runtime: Runtime[MonitorSettings], server: Server, connections: Connections) -> Alerting:
    """Serve AlertService, evaluate rules, notify webhooks; return the use cases of alerts. Raises StartError."""
    settings, clock = runtime.settings, runtime.clock
    metrics = AlertMetrics(runtime.metrics)
    store, outbox = AlertStore(connections, metrics), Outbox(connections)
    feed = ChangeFeed(store, store.open, clock, owner="monitor", max_watches=settings.max_alert_watches)
    rules = Rules(Allowed.parse(settings.webhook_allow), inside=hosts(settings))
    # Two, each with threads: names that callers give us to look up keep no delivery waiting.
    asked, connecting = await runtime.enter(Guard(rules, clock)), await runtime.enter(Guard(rules, clock))
    alerting = Alerting(store, outbox, asked)
    servicer = AlertServicer(alerting, feed, runtime.stopping)
    alert_pb2_grpc.add_AlertServiceServicer_to_server(servicer, server)

    patience = Patience(
        first_pause=timedelta(seconds=settings.webhook_retry_s),
        give_up_after=timedelta(hours=settings.webhook_give_up_after_h),
        timeout_s=settings.webhook_timeout_s,
    )
    poster = await runtime.enter(Poster(patience.timeout_s, _authorities(settings.webhook_ca_file), connecting))
    deliveries = Deliveries(outbox, poster, patience, clock, metrics)
    evaluation = RuleEvaluator(store)

    async def show() -> None:
        with suppress(Unavailable):  # health tells; the next round shows it
            counts, lag_s = await store.open_counts(), await store.lag_s()
            metrics.show(counts, lag_s=lag_s, waiting=await outbox.waiting(), watches=feed.watches)

    runtime.loop("alerts", lambda: periodic("alerts", evaluation.step, every_s=EVALUATE_S, clock=clock))
    runtime.loop("old alerts", lambda: periodic("old alerts", evaluation.expire, every_s=EXPIRE_S, clock=clock))
    runtime.loop("alert figures", lambda: periodic("alert figures", show, every_s=SHOW_S, clock=clock))
    runtime.loop("alert feed", feed.run)
    runtime.loop("alert hints", lambda: periodic("alert hints", feed.listen, every_s=1.0, clock=clock))
    runtime.loop("webhooks", deliveries.run)
    return alerting


def _authorities(file: Path | None) -> Authorities:
    try:
        return Authorities(file)
    except (OSError, ValueError) as error:
        raise StartError(f"MONITOR_WEBHOOK_CA_FILE: {error}") from error
