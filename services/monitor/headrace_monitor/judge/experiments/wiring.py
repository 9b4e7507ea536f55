"""Experiments put together."""

from __future__ import annotations

from datetime import timedelta

from headrace.monitor.v1 import experiment_pb2_grpc
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server

from headrace_monitor.judge.experiments.analyst import Analyst, ExperimentWatch
from headrace_monitor.judge.experiments.decisions.unit_table import Retention
from headrace_monitor.judge.experiments.servicer import ExperimentServicer
from headrace_monitor.judge.experiments.store import ExperimentStore
from headrace_monitor.judge.experiments.unit_files import files_folder
from headrace_monitor.judge.experiments.unit_tables import UnitSources, UnitTables
from headrace_monitor.record.log.reader import Reader
from headrace_monitor.record.query.queries import Queries
from headrace_monitor.record.query.wiring import QueryFiles, folder_of
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

# How often experiments are looked for whose turn it is.
DUE_S = 15.0
EXPIRE_EVERY_S = 600.0


async def open_experiments(
    runtime: Runtime[MonitorSettings],
    server: Server,
    database: Database,
    reader: Reader,
    queries: Queries,
    files: QueryFiles,
) -> ExperimentStore:
    """Serve ExperimentService, and return what stores its experiments. Raises StartError."""
    settings, clock = runtime.settings, runtime.clock
    store = ExperimentStore(database)
    folder = await runtime.enter(folder_of(files_folder, settings.query_dir))
    retention = Retention(
        files_stay=timedelta(seconds=settings.log_merge_after_s), records_stay=timedelta(days=settings.log_retention_d)
    )
    sources = UnitSources(reader, database, files.cache)
    made = UnitTables(sources, folder, files.folder, files.limits, retention, settings.experiments_bytes)
    tables = await runtime.enter(made)
    analyst = Analyst(store, tables, queries, clock)
    servicer = ExperimentServicer(store, analyst, clock)
    experiment_pb2_grpc.add_ExperimentServiceServicer_to_server(servicer, server)
    watch = ExperimentWatch(store, analyst, timedelta(seconds=settings.experiments_every_s))
    every_s = min(settings.experiments_every_s, DUE_S)
    runtime.loop("experiments", lambda: periodic("experiments", watch.step, every_s=every_s, clock=clock))

    async def expire() -> None:
        await tables.expire(clock.now())

    runtime.loop("unit tables", lambda: periodic("unit tables", expire, every_s=EXPIRE_EVERY_S, clock=clock))
    return store
