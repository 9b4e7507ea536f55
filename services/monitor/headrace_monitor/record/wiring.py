"""The room `record` put together: counters, the prediction log, outcomes and queries."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.monitor.v1 import monitor_pb2_grpc
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server

from headrace_monitor.record.counters.wiring import Counters, open_counters
from headrace_monitor.record.log.wiring import PredictionLog, open_log
from headrace_monitor.record.outcomes.wiring import KnownOutcomes, open_outcomes
from headrace_monitor.record.query.queries import Queries
from headrace_monitor.record.query.wiring import QueryFiles, open_queries, open_query_files
from headrace_monitor.record.traffic_servicer import TrafficServicer
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database


@dataclass(frozen=True, slots=True)
class Record:
    """What the other rooms need of what was answered."""

    counters: Counters
    log: PredictionLog
    outcomes: KnownOutcomes
    queries: Queries
    query_files: QueryFiles


async def open_record(runtime: Runtime[MonitorSettings], server: Server, database: Database) -> Record:
    """Serve TrafficService and OutcomeService; maintain counters, log and outcomes. Raises StartError."""
    log = await open_log(runtime, database)
    files = await open_query_files(runtime, log.reader)
    queries = open_queries(runtime, database, log.reader, files)
    counters = open_counters(runtime, database)
    outcomes = open_outcomes(runtime, server, database, log.reader)
    servicer = TrafficServicer(counters.reading, queries, runtime.clock)
    monitor_pb2_grpc.add_TrafficServiceServicer_to_server(servicer, server)
    return Record(counters, log, outcomes, queries, files)
