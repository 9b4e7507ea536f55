"""Experiments put together."""

from __future__ import annotations

from headrace.monitor.v1 import experiment_pb2_grpc
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server

from headrace_monitor.experiments.analysing import Analyst
from headrace_monitor.experiments.servicer import ExperimentServicer
from headrace_monitor.experiments.store import ExperimentStore
from headrace_monitor.query.answering import Queries
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database


def open_experiments(
    runtime: Runtime[MonitorSettings], server: Server, database: Database, queries: Queries
) -> ExperimentStore:
    """Serve ExperimentService, and return what stores its experiments."""
    store = ExperimentStore(database)
    servicer = ExperimentServicer(store, Analyst(store, queries, runtime.clock), runtime.clock)
    experiment_pb2_grpc.add_ExperimentServiceServicer_to_server(servicer, server)
    return store
