"""Experiments put together."""

from __future__ import annotations

from datetime import timedelta

from headrace.monitor.v1 import experiment_pb2_grpc
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server

from headrace_monitor.experiments.analysing import Analyst
from headrace_monitor.experiments.servicer import ExperimentServicer
from headrace_monitor.experiments.store import ExperimentStore
from headrace_monitor.experiments.watching import ExperimentWatch
from headrace_monitor.query.answering import Queries
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

# How often experiments are looked for whose turn it is.
DUE_S = 15.0


def open_experiments(
    runtime: Runtime[MonitorSettings], server: Server, database: Database, queries: Queries
) -> ExperimentStore:
    """Serve ExperimentService, and return what stores its experiments."""
    store = ExperimentStore(database)
    analyst = Analyst(store, queries, runtime.clock)
    servicer = ExperimentServicer(store, analyst, runtime.clock)
    experiment_pb2_grpc.add_ExperimentServiceServicer_to_server(servicer, server)
    watch = ExperimentWatch(store, analyst, timedelta(seconds=runtime.settings.experiments_every_s))
    every_s = min(runtime.settings.experiments_every_s, DUE_S)
    runtime.loop("experiments", lambda: periodic("experiments", watch.step, every_s=every_s, clock=runtime.clock))
    return store
