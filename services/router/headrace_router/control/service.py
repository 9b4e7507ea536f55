"""The router's control plane put together: every dependency by name."""

from __future__ import annotations

import asyncio
from functools import partial

from grpc_health.v1 import health_pb2_grpc
from headrace.router.v1 import control_pb2_grpc, route_pb2_grpc
from headrace_servicekit.client import channel
from headrace_servicekit.coordination.feeds import heed
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.postgres.head_storage import start_storing
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_router.control.edge.health import REGISTRY_SERVICE, EdgeHealthServicer, installation_of
from headrace_router.control.edge.reflection import committed_descriptors, public_descriptors, with_inference
from headrace_router.control.metrics import ControlMetrics
from headrace_router.control.precomputed.wiring import open_precomputed
from headrace_router.control.presence.data_planes import DataPlanes
from headrace_router.control.presence.leases import Leases
from headrace_router.control.presence.servicer import ControlServicer
from headrace_router.control.registry.holds import RegistryHolds
from headrace_router.control.registry.news import RegistryNews
from headrace_router.control.registry.pools import PoolReports
from headrace_router.control.registry.watch import COMPONENT, RegistryWatch
from headrace_router.control.routes.contracts import Contracts
from headrace_router.control.routes.controller import Controller
from headrace_router.control.routes.purges import Purging
from headrace_router.control.routes.servicer import RouteServicer
from headrace_router.control.routes.stored_answers import AnswerWriter
from headrace_router.control.routes.writes import Writing
from headrace_router.control.settings import ControlSettings
from headrace_router.control.state.time_limits import Timing
from headrace_router.control.state.view import View
from headrace_router.control.state.waits import Waits
from headrace_router.control.storage.postgres import HISTORY, PostgresStore
from headrace_router.control.usage.wiring import ClientLimits

KEEP_EVERY_S = 2.0
SWEEP_EVERY_S = 60.0


async def start(runtime: Runtime[ControlSettings]) -> None:
    """Build the control plane. It becomes SERVING once it has read its store."""
    settings, clock, health = runtime.settings, runtime.clock, runtime.health
    tls = Tls.of(settings)
    connections = Connections(Address.of(settings), owner="router", size=settings.database_connections)
    store = await runtime.enter(PostgresStore(connections))
    view, news, metrics = View(store, clock, Timing.of(settings)), RegistryNews(), ControlMetrics(runtime.metrics)
    controller = Controller(view, store, news, clock, metrics)
    presence = DataPlanes(view, store, clock, controller.wake)
    waits = Waits(view, store, clock)

    registry = await runtime.enter(
        channel(settings.registry_target, tls=tls, idempotent=[f"{REGISTRY_SERVICE}/GetModel"])
    )
    health.add(COMPONENT, required=False)
    watch = RegistryWatch(registry, news, waits, health, clock)
    holds = RegistryHolds(view, registry, clock)
    leasing = Leases(view, store, clock, catch_up=watch.catch_up, keep=holds.kept)
    contracts = Contracts(view, store)
    writing = Writing(view, controller, contracts, store, waits, clock, catch_up=watch.catch_up, keep=holds.kept)
    answer_writer = AnswerWriter(view, controller, waits, clock)
    purging = Purging(view, answer_writer, store, watch.catch_up)

    server = runtime.server(descriptors=public_descriptors(with_inference(committed_descriptors())))
    route_pb2_grpc.add_RouteServiceServicer_to_server(
        RouteServicer(view, writing, purging, contracts, waits, store, watch.catch_up), server
    )
    client_limits = ClientLimits(runtime, server, connections, registry)
    control_pb2_grpc.add_ControlServiceServicer_to_server(
        ControlServicer(view, presence, leasing, client_limits.feed, runtime.stopping), server
    )
    if settings.valkey_url:
        await open_precomputed(runtime, server, store, view, answer_writer, watch.catch_up)
    installation = await installation_of(runtime, tls)
    health_pb2_grpc.add_HealthServicer_to_server(EdgeHealthServicer(health, installation, runtime.stopping), server)

    health.add("tables")
    show(view, watch, metrics)
    runtime.check("database", store.ping, required=False)
    migrated = runtime.migrated(store, component="tables")
    await start_storing(runtime, HISTORY, connections, migrated)
    client_limits.start(migrated)
    runtime.loop("store", lambda: serve_from(migrated, view, controller, runtime))
    notifications = partial(heed, store.wakes, controller.wake)
    runtime.every("notifications", 1.0, notifications)
    runtime.loop("save", presence.save)
    runtime.loop("registry", watch.run)
    runtime.loop("holds", holds.run)
    runtime.loop("pools", PoolReports(view, registry, clock).run)
    runtime.every("keep", KEEP_EVERY_S, presence.keep, max_backoff_s=KEEP_EVERY_S)
    runtime.every("sweep", SWEEP_EVERY_S, presence.sweep)


async def serve_from(
    migrated: asyncio.Event, view: View, controller: Controller, runtime: Runtime[ControlSettings]
) -> None:
    """Read the store as soon as it has this code's schema, and follow it for ever."""
    await migrated.wait()
    await runtime.reached(view.read, component="tables")
    runtime.health.set("tables", True)
    await controller.run()


def show(view: View, watch: RegistryWatch, metrics: ControlMetrics) -> None:
    """Show what can be read at any time as gauges."""
    gauge = metrics.gauge
    gauge("newest_generation", "Newest generation in force.", lambda: view.mirror.newest_generation)
    gauge("changes_pending", "Changes that wait for versions to be ready.", lambda: view.mirror.pending())
    gauge("routes", "Models that exist.", lambda: sum(1 for _ in view.mirror.states()))
    gauge("table_watchers", "Open watches of tables.", lambda: view.tables.watchers)
    gauge("demand_watchers", "Open watches of demand.", lambda: view.demand.watchers)
    gauge("registry_followed", "1 while the registry is followed.", lambda: float(watch.connected))
