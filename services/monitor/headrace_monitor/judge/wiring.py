"""The room `judge` put together: references and drift, performance, shadows and experiments."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.monitor.v1 import monitor_pb2_grpc
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server

from headrace_monitor.judge.drift.wiring import open_drift
from headrace_monitor.judge.experiments.store import ExperimentStore
from headrace_monitor.judge.experiments.wiring import open_experiments
from headrace_monitor.judge.performance.wiring import open_performance
from headrace_monitor.judge.servicer import MonitorServicer
from headrace_monitor.judge.shadow.intake import PairIntake
from headrace_monitor.judge.shadow.wiring import open_shadows
from headrace_monitor.record.wiring import Record
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database


@dataclass(frozen=True, slots=True)
class Judge:
    """What the service needs of what judges."""

    pairs: PairIntake
    experiments: ExperimentStore


async def open_judge(runtime: Runtime[MonitorSettings], server: Server, database: Database, record: Record) -> Judge:
    """Serve MonitorService and ExperimentService, and start what judges by itself. Raises StartError."""
    drift = await open_drift(runtime, database, record.log)
    performances = open_performance(runtime, database, record.log, record.outcomes)
    pairs, shadows = await open_shadows(runtime, database, record.log.contracts)
    experiments = await open_experiments(
        runtime, server, database, record.log.reader, record.queries, record.query_files
    )
    monitor_pb2_grpc.add_MonitorServiceServicer_to_server(MonitorServicer(drift, performances, shadows), server)
    return Judge(pairs, experiments)
