"""The autoscaler put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from headrace.autoscaler.v1 import autoscaler_pb2_grpc, planning_pb2_grpc
from headrace.monitor.v1 import alert_pb2_grpc
from headrace.router.v1 import pool_demand_pb2_grpc, route_pb2_grpc
from headrace_servicekit.client import channel
from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.tls import Tls

from headrace_autoscaler.acting.leader import Leader
from headrace_autoscaler.acting.reporter import REPORT_EVERY_S, AlertReporter
from headrace_autoscaler.acting.watched import shown
from headrace_autoscaler.actuators.choice import actuator_of
from headrace_autoscaler.api.dry_run import DryRuns
from headrace_autoscaler.api.planning_servicer import PlanningServicer
from headrace_autoscaler.api.servicer import AutoscalerServicer, PoolDemandServicer
from headrace_autoscaler.keda.servicer import ExternalScaler
from headrace_autoscaler.metrics import AutoscalerMetrics, PoolCollector
from headrace_autoscaler.planning.planner import Planner
from headrace_autoscaler.settings import AutoscalerSettings
from headrace_autoscaler.signals.fleet import ControlPlane
from headrace_autoscaler.signals.observer import LOOK_EVERY_S, Observer
from headrace_autoscaler.storage.database import Database
from headrace_autoscaler.storage.decisions import Decisions
from headrace_autoscaler.storage.pools import Pools
from headrace_autoscaler.storage.rounds import Rounds

WORK = "scale pools"
EXPIRE_EVERY_S = 30.0


async def start(runtime: Runtime[AutoscalerSettings]) -> None:
    """Build the service on PostgreSQL and the control plane. Neither has to be up: calls are UNAVAILABLE until then."""
    settings, clock = runtime.settings, runtime.clock
    database = await runtime.enter(Database(Address.of(settings), size=settings.database_connections))
    runtime.migrated(database)
    runtime.check("postgres", database.check)
    control = await runtime.enter(channel(settings.control_target, tls=Tls.of(settings)))
    observer = Observer(ControlPlane(route_pb2_grpc.RouteServiceStub(control)), clock)
    actuator = await actuator_of(settings, runtime)
    pools, decisions = Pools(database, most=settings.max_pools), Decisions(database)
    lease = LeaderLease(database, WORK, clock)
    metrics = AutoscalerMetrics(runtime.metrics)
    leader = Leader(lease, pools, observer, actuator, clock, metrics, actuator_timeout_s=settings.actuator_timeout_s)
    runtime.metrics.register(PoolCollector(lambda: shown(leader.pools), lambda: observer.age_s))
    if settings.monitor_target:
        monitor = await runtime.enter(channel(settings.monitor_target, tls=Tls.of(settings)))
        stub = alert_pb2_grpc.AlertServiceStub(monitor)
        reporter = AlertReporter(stub, lambda: lease.fence, lambda: leader.pools, clock)
        runtime.every("alerts", REPORT_EVERY_S, reporter.step)
    expire = partial(
        Rounds(lease).expire,
        whole=timedelta(days=settings.decisions_keep_d),
        changes=timedelta(days=settings.changes_keep_d),
        history=timedelta(days=settings.history_keep_d),
    )
    feed = ChangeFeed(pools, pools.snapshot, clock, owner="autoscaler", max_watches=settings.max_watches)
    servicer = AutoscalerServicer(
        pools,
        decisions,
        DryRuns(pools, decisions, observer, clock),
        feed,
        clock,
        actuator.name,
        runtime.stopping,
    )
    planning = PlanningServicer(decisions, Planner(settings.max_simulations), clock, runtime.stopping)
    server = runtime.server()
    autoscaler_pb2_grpc.add_AutoscalerServiceServicer_to_server(servicer, server)
    pool_demand_pb2_grpc.add_PoolDemandServiceServicer_to_server(PoolDemandServicer(pools), server)
    # Data planes of 0.1.0 call AwaitPool so.
    server.also_serve_as("headrace.autoscaler.v1.AutoscalerService", "headrace.router.v1.PoolDemandService")
    planning_pb2_grpc.add_PlanningServiceServicer_to_server(planning, server)
    ExternalScaler(pools, decisions, clock, runtime.stopping).serve_on(server)
    runtime.every("look", LOOK_EVERY_S, observer.look)
    runtime.loop("lead", leader.run)
    runtime.every("expire", EXPIRE_EVERY_S, expire)
    runtime.loop("pool feed", feed.run)
    runtime.every("pool hints", 1.0, feed.listen)
