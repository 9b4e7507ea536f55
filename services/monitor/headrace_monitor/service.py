"""The monitor put together: what `__main__` runs, and tests run in their own process."""

from __future__ import annotations

from headrace.monitor.v1 import evidence_pb2_grpc, monitor_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2_grpc
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.runtime import Runtime

from headrace_monitor.alert.wiring import start_alerts
from headrace_monitor.judge.drift.wiring import open_drift
from headrace_monitor.judge.experiments.notifying import event_in as experiment_event
from headrace_monitor.judge.experiments.wiring import open_experiments
from headrace_monitor.judge.performance.wiring import open_performance
from headrace_monitor.judge.shadow.wiring import open_shadows
from headrace_monitor.record.counters.evidence_rpcs import EvidenceServicer
from headrace_monitor.record.counters.wiring import open_counters
from headrace_monitor.record.log.wiring import open_log
from headrace_monitor.record.outcomes.wiring import open_outcomes
from headrace_monitor.record.query.wiring import open_queries, open_query_files
from headrace_monitor.report.distribution_rpcs import DistributionRpcs
from headrace_monitor.report.drift_source import LoadedDrift, WindowHistograms
from headrace_monitor.report.gathering import Sources
from headrace_monitor.report.rpcs import ReportRpcs
from headrace_monitor.servicers import MonitorServicer, TelemetrySinkServicer
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage import schema
from headrace_monitor.storage.schema import Database
from headrace_monitor.usage.wiring import open_usage


async def start(runtime: Runtime[MonitorSettings]) -> None:
    """Build the service on PostgreSQL, S3 and the registry. None has to be up: calls are UNAVAILABLE until they are."""
    settings = runtime.settings
    database = await runtime.enter(Database(Address.of(settings), size=settings.database_connections))

    runtime.migrated(database)
    runtime.check("postgres", lambda: schema.check(database))
    log = await open_log(runtime, database)
    files = await open_query_files(runtime, log.reader)
    queries = open_queries(runtime, database, log.reader, files)
    drift = await open_drift(runtime, database, log)
    counters = open_counters(runtime, database)
    server = runtime.server()
    outcomes = open_outcomes(runtime, server, database, log.reader)
    performances = open_performance(runtime, database, log, outcomes)
    shadows = await open_shadows(runtime, database, log.contracts)
    usage = await open_usage(runtime, server, database)
    sink = TelemetrySinkServicer(
        counters=counters.intake,
        predictions=log.ingestion,
        pairs=shadows.intake,
        usage=usage.store,
        limits=usage.limits,
    )
    telemetry_pb2_grpc.add_TelemetrySinkServiceServicer_to_server(sink, server)
    # Data planes and batchers of 0.1.0 call it so.
    server.also_serve_as("headrace.monitor.v1.IngestService", "headrace.telemetry.v1.TelemetrySinkService")
    experiments = await open_experiments(runtime, server, database, log.reader, queries, files)
    evidence = EvidenceServicer(counters.evidence, experiments.running)
    evidence_pb2_grpc.add_EvidenceServiceServicer_to_server(evidence, server)
    alerting = await start_alerts(runtime, server, database, experiment_event)
    loaded, histograms = LoadedDrift(drift), WindowHistograms(database)
    sources = Sources(counters.reading, alerting, loaded, histograms, performances)
    monitor = MonitorServicer(
        clock=runtime.clock,
        counters=counters.reading,
        queries=queries,
        drift=drift,
        distributions=DistributionRpcs(loaded, histograms, runtime.clock),
        performances=performances,
        reports=ReportRpcs(sources, runtime.clock),
        shadows=shadows.rpcs,
    )
    monitor_pb2_grpc.add_MonitorServiceServicer_to_server(monitor, server)
