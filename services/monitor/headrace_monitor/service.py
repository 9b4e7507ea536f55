"""The monitor put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from headrace.monitor.v1 import evidence_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2_grpc
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.runtime import Runtime

from headrace_monitor.alert.wiring import start_alerts
from headrace_monitor.handover.router import open_former_clients
from headrace_monitor.judge.experiments.notices import event_in as experiment_event
from headrace_monitor.judge.wiring import open_judge
from headrace_monitor.record.counters.evidence_rpcs import EvidenceServicer
from headrace_monitor.record.wiring import open_record
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage import schema
from headrace_monitor.storage.schema import Database
from headrace_monitor.telemetry_sink import TelemetrySinkServicer


async def start(runtime: Runtime[MonitorSettings]) -> None:
    """Build the service on PostgreSQL, S3 and the registry. None has to be up: calls are UNAVAILABLE until they are."""
    settings = runtime.settings
    database = await runtime.enter(Database(Address.of(settings), size=settings.database_connections))
    runtime.migrated(database)
    runtime.check("postgres", lambda: schema.check(database))
    server = runtime.server()
    record = await open_record(runtime, server, database)
    judge = await open_judge(runtime, server, database, record)
    await start_alerts(runtime, server, database, experiment_event)
    sink = TelemetrySinkServicer(
        counters=record.counters.intake,
        predictions=record.log.ingestion,
        pairs=judge.pairs,
        former=await open_former_clients(runtime, database),
    )
    telemetry_pb2_grpc.add_TelemetrySinkServiceServicer_to_server(sink, server)
    evidence = EvidenceServicer(record.counters.evidence, judge.experiments.running)
    evidence_pb2_grpc.add_EvidenceServiceServicer_to_server(evidence, server)
    # By the names that clients, data planes and batchers of 0.1.0 call.
    server.also_serve_as("headrace.monitor.v1.IngestService", "headrace.telemetry.v1.TelemetrySinkService")
    server.also_serve_as("headrace.monitor.v1.MonitorService", "headrace.monitor.v1.TrafficService")
