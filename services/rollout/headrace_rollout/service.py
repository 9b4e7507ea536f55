"""The rollout service put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from typing import NoReturn

from headrace.rollout.v1 import rollout_pb2, rollout_pb2_grpc
from headrace_servicekit.client import channel
from headrace_servicekit.coordination.feeds import ChangeFeed, heed
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.coordination.revisions import no_snapshot
from headrace_servicekit.outbox.messages import webhook_kind
from headrace_servicekit.outbox.outbox import Outbox
from headrace_servicekit.outbox.webhooks import Webhooks
from headrace_servicekit.outbox.wiring import delivery_counter, start_deliveries
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.postgres.head_storage import start_storing
from headrace_servicekit.resources import serve_kind
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls
from prometheus_client import Gauge

from headrace_rollout.alerts import FreezeAlerts
from headrace_rollout.approved import EVERY_S, ApprovedRollouts
from headrace_rollout.conclusion import Concluding
from headrace_rollout.controller import Controller
from headrace_rollout.documents import event_in
from headrace_rollout.experiments import Experiments
from headrace_rollout.judge import Judge
from headrace_rollout.peers import Routes
from headrace_rollout.pool_costs import HeadRoom
from headrace_rollout.recovery import EVERY_S as RESTORES_S
from headrace_rollout.recovery import Restoring
from headrace_rollout.registry import Registry
from headrace_rollout.release import EVERY_S as RELEASES_S
from headrace_rollout.release import Releasing
from headrace_rollout.route_changes import RouteChanges
from headrace_rollout.servicer import RolloutServicer
from headrace_rollout.settings import RolloutSettings
from headrace_rollout.start import Starting
from headrace_rollout.store import HISTORY, Store, database
from headrace_rollout.traffic import TrafficReader


async def start(runtime: Runtime[RolloutSettings]) -> None:
    """Build the service. Nothing that it calls has to be up: calls are UNAVAILABLE, and rollouts wait, until it is."""
    settings, clock, tls = runtime.settings, runtime.clock, Tls.of(runtime.settings)
    connections = database(Address.of(settings), settings.database_connections)
    store = Store(await runtime.enter(connections))
    await start_storing(runtime, HISTORY, connections, runtime.migrated(connections))
    runtime.check("postgres", store.check)

    routes = Routes(await runtime.enter(channel(settings.control_target, tls=tls)))
    registry = Registry(await runtime.enter(channel(settings.registry_target, tls=tls)))
    monitor = await runtime.enter(channel(settings.monitor_target, tls=tls))
    alerts = FreezeAlerts(monitor, clock)
    lease = LeaderLease(connections, "rollouts", clock)
    traffic = TrafficReader(monitor, clock)
    headroom = HeadRoom(routes, traffic, clock)
    controller = Controller(store, lease, routes, registry, Judge(monitor, alerts), headroom, clock)
    feed = ChangeFeed(store, no_snapshot, clock, owner="rollout service", max_watches=settings.max_watches)
    starting = Starting(store, routes, registry, traffic, headroom, alerts)
    approved, releasing = ApprovedRollouts(registry, starting), Releasing(store, routes, registry)
    changes = RouteChanges(connections)
    concluding = Concluding(Experiments(monitor), routes, starting, alerts, changes)
    restoring = Restoring(changes, Experiments(monitor), routes)
    experiments = LeaderLease(connections, "experiments", clock)
    running = Gauge(
        "rollout_running", "Rollouts that this process runs; 0 where another one leads.", registry=runtime.metrics
    )
    running.set_function(lambda: controller.running)
    outbox = Outbox(connections, event_in, hold=settings.webhook_hold)
    guard = await start_deliveries(
        runtime, settings, outbox, inside=settings.called, count=delivery_counter(runtime.metrics, "rollout")
    )
    servicer = RolloutServicer(store, starting, concluding, releasing, feed, controller.wake, runtime.stopping)
    service = rollout_pb2.DESCRIPTOR.services_by_name["RolloutService"]
    serve_kind(servicer, service, webhook_kind("rolloutWebhooks"), Webhooks(connections, guard))
    rollout_pb2_grpc.add_RolloutServiceServicer_to_server(servicer, runtime.server())

    async def listen() -> None:
        await heed(store.requests, controller.wake)

    async def guard_experiments() -> NoReturn:
        await experiments.lead(concluding.guard, every_s=settings.experiments_every_s)

    runtime.loop("rollouts", controller.run)
    runtime.loop("experiments", guard_experiments)
    runtime.every("approved", EVERY_S, approved.start)
    runtime.every("releases", RELEASES_S, releasing.run)
    runtime.every("restores", RESTORES_S, restoring.run)
    runtime.loop("alerts", alerts.run)
    runtime.loop("running experiments", alerts.watch_experiments)
    runtime.loop("feed", feed.run)
    runtime.every("feed hints", 1.0, feed.listen)
    runtime.every("hints", 1.0, listen)
