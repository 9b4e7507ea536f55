"""The room `judge` put together: references and drift, performance, shadows and experiments.

MonitorService is served by the subject that has each method.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from headrace.monitor.v1 import experiment_pb2_grpc, monitor_pb2, monitor_pb2_grpc
from headrace_servicekit.client import channel
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Unavailable, Unimplemented
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.s3 import Place
from headrace_servicekit.server import Server
from headrace_servicekit.tls import Tls

from headrace_monitor.judge.drift.decisions.evaluation import Schedule
from headrace_monitor.judge.drift.evaluator import DriftEvaluator
from headrace_monitor.judge.drift.postgres import DriftTolerances, PostgresEvaluations
from headrace_monitor.judge.drift.scheduler import DriftMetrics, Scheduler
from headrace_monitor.judge.drift.servicer import DriftServicer
from headrace_monitor.judge.drift.store import EvaluationStore
from headrace_monitor.judge.experiments.analyst import Analyst, ExperimentWatch
from headrace_monitor.judge.experiments.decisions.unit_table import Retention
from headrace_monitor.judge.experiments.servicer import ExperimentServicer
from headrace_monitor.judge.experiments.store import ExperimentStore
from headrace_monitor.judge.experiments.unit_files import files_folder
from headrace_monitor.judge.experiments.unit_tables import UnitSources, UnitTables
from headrace_monitor.judge.performance.arrivals import ArrivalProcessor
from headrace_monitor.judge.performance.calculator import OutcomeJoiner, PerformanceCalculator
from headrace_monitor.judge.performance.evaluator import HourEvaluator
from headrace_monitor.judge.performance.servicer import PerformanceServicer
from headrace_monitor.judge.performance.store import PerformanceStore
from headrace_monitor.judge.references.artifacts import RegistryBlobs
from headrace_monitor.judge.references.freezer import Freezer
from headrace_monitor.judge.references.freezing_process import FreezingProcess
from headrace_monitor.judge.references.log_rows import LogRows
from headrace_monitor.judge.references.rows_writer import RowsWriter
from headrace_monitor.judge.references.store import References
from headrace_monitor.judge.shadow.intake import PairIntake
from headrace_monitor.judge.shadow.measurements import MEASURE_EVERY_S, ShadowMeasurements
from headrace_monitor.judge.shadow.servicer import ShadowServicer
from headrace_monitor.judge.shadow.store import Comparisons
from headrace_monitor.judge.windows.deriver import Deriver, WindowMetrics
from headrace_monitor.judge.windows.postgres import PostgresWindows
from headrace_monitor.judge.windows.store import WindowStore
from headrace_monitor.record.log.contracts import ContractSource
from headrace_monitor.record.log.reader import Reader
from headrace_monitor.record.log.wiring import PredictionLog
from headrace_monitor.record.query.queries import Queries
from headrace_monitor.record.query.wiring import QueryFiles, folder_of
from headrace_monitor.record.wiring import KnownOutcomes, Record
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

logger = structlog.get_logger()
FREEZE_S = 120.0
SWEEP_S = 600.0
SWEEP_FILES = 10_000
KEEP_EVALUATIONS = timedelta(days=400)
# How often experiments are looked for whose turn it is.
DUE_S = 15.0
EXPIRE_UNITS_S = 600.0
EXPIRE_S = 3600.0
_METHODS = tuple(method.name for method in monitor_pb2.DESCRIPTOR.services_by_name["MonitorService"].methods)


class MonitorServicer(monitor_pb2_grpc.MonitorServiceServicer):
    """MonitorService of subjects: objects that have some of its methods. One that none has is UNIMPLEMENTED."""

    def __init__(self, *subjects: object) -> None:
        for subject in subjects:
            vars(self).update({name: getattr(subject, name) for name in _METHODS if hasattr(subject, name)})

    async def RenderReport(self, request, context):
        # Of 0.1.0, which made the page itself.
        raise Unimplemented(
            "a report is a page of the console: open /console/models/MODEL/report at the front door, or save it by "
            "`headrace monitor report` of headrace-client[observe] in this release",
            reason="REPORT_IN_CONSOLE",
        )


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


async def open_drift(runtime: Runtime[MonitorSettings], database: Database, log: PredictionLog) -> DriftServicer:
    """Start the loops and return the servicer. The registry's bucket need not be up."""
    settings, clock = runtime.settings, runtime.clock
    blobs = await runtime.enter(RegistryBlobs(Place.of(settings, bucket=settings.registry_bucket)))
    references, windows, evaluations = References(database), PostgresWindows(database), PostgresEvaluations(database)
    rows = LogRows(log.reader)
    freeze = FreezingProcess(timeout_s=FREEZE_S)
    calibrate = PerformanceStore(database).calibrate_first
    freezer = Freezer(references, log.contracts, blobs, freeze, RowsWriter(rows), calibrate, clock)
    deriver = Deriver(windows, references, log.reader, settings.window_s, clock, WindowMetrics(runtime.metrics))
    schedule = Schedule(settings.window_s, timedelta(seconds=settings.drift_settle_s), settings.drift_alarms_per_week)
    tolerances = DriftTolerances(database)
    evaluator = DriftEvaluator(windows, evaluations, tolerances, rows, clock)
    scheduler = Scheduler(evaluator, evaluations, windows, references, schedule, clock, DriftMetrics(runtime.metrics))
    keep = timedelta(days=settings.windows_keep_d)
    every_s = settings.derive_every_s
    steps = {
        # Finds new versions by reading the list of the log's files.
        "references": (freezer.freeze_missing, every_s * 4),
        "windows": (deriver.catch_up, every_s),
        "drift evaluations": (scheduler.step, every_s),
        "expire windows": (lambda: _expire(windows, evaluations, clock, keep), SWEEP_S),
    }
    for name, (step, pause_s) in steps.items():
        runtime.every(name, pause_s, _retried(name, step))
    return DriftServicer(
        references, log.contracts, freezer, evaluator, evaluations, windows, tolerances, schedule, clock
    )


def _retried(name: str, step: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    """Return a step that ends early while a store or the registry is away: health checks report that."""

    async def retried() -> None:
        try:
            await step()
        except Unavailable as error:
            logger.debug("step postponed", loop=name, problem=error.public_message)

    return retried


async def _expire(windows: WindowStore, evaluations: EvaluationStore, clock: Clock, keep: timedelta) -> None:
    await windows.expire(clock.now() - keep, files=SWEEP_FILES)
    await evaluations.expire(clock.now() - KEEP_EVALUATIONS)


def open_performance(
    runtime: Runtime[MonitorSettings], database: Database, log: PredictionLog, outcomes: KnownOutcomes
) -> PerformanceServicer:
    """Process new outcomes, evaluate hours, and return the servicer."""
    settings, clock = runtime.settings, runtime.clock
    kept, joins = PerformanceStore(database), OutcomeJoiner(log.reader, outcomes.store)
    calculator = PerformanceCalculator(joins, kept, log.contracts, References(database))
    arrivals = ArrivalProcessor(
        *(database, log.reader, log.contracts, outcomes.delays, outcomes.metrics, clock),
        evaluate_after=timedelta(seconds=settings.performance_every_s),
        run_length=settings.error_run_length_labels,
    )
    evaluator = HourEvaluator(database, joins, calculator, kept, log.contracts, clock)

    async def expire() -> None:
        await kept.expire(clock.now() - timedelta(days=settings.log_retention_d))

    runtime.every("process outcomes", settings.outcomes_every_s, arrivals.step, after=database.there)
    runtime.every("evaluate hours", settings.performance_every_s, evaluator.step, after=database.there)
    runtime.every("expire performance", EXPIRE_S, expire, after=database.there)
    return PerformanceServicer(calculator, kept, clock)


async def open_shadows(
    runtime: Runtime[MonitorSettings], database: Database, contracts: ContractSource
) -> tuple[PairIntake, ShadowServicer]:
    """Report comparisons to the registry and expire them, as late as counters; return their intake and servicer."""
    settings, comparisons, clock = runtime.settings, Comparisons(database), runtime.clock
    age = timedelta(days=settings.counter_retention_d)
    registry = await runtime.enter(channel(settings.registry_target, tls=Tls.of(settings)))
    measurements = ShadowMeasurements(comparisons, contracts, registry, clock)
    runtime.every("measure shadows", MEASURE_EVERY_S, measurements.step, after=database.there)
    runtime.every("expire shadow comparisons", EXPIRE_S, lambda: comparisons.expire(age), after=database.there)
    return PairIntake(contracts, comparisons, clock), ShadowServicer(comparisons, clock)


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
    runtime.every("experiments", every_s, watch.step)

    async def expire() -> None:
        await tables.expire(clock.now())

    runtime.every("unit tables", EXPIRE_UNITS_S, expire)
    return store
