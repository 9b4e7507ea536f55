"""References, windows and drift evaluations put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.s3 import Place

from headrace_monitor.judge.drift.decisions.evaluation import Schedule
from headrace_monitor.judge.drift.evaluator import DriftEvaluator
from headrace_monitor.judge.drift.postgres import DriftTolerances, PostgresEvaluations
from headrace_monitor.judge.drift.scheduler import DriftMetrics, Scheduler
from headrace_monitor.judge.drift.servicer import DriftServicer
from headrace_monitor.judge.drift.store import EvaluationStore
from headrace_monitor.judge.performance.store import PerformanceStore
from headrace_monitor.judge.references.artifacts import RegistryBlobs
from headrace_monitor.judge.references.freezer import Freezer
from headrace_monitor.judge.references.freezing_process import FreezingProcess
from headrace_monitor.judge.references.log_rows import LogRows
from headrace_monitor.judge.references.rows_writer import RowsWriter
from headrace_monitor.judge.references.store import References
from headrace_monitor.judge.windows.deriver import Deriver, WindowMetrics
from headrace_monitor.judge.windows.postgres import PostgresWindows
from headrace_monitor.judge.windows.store import WindowStore
from headrace_monitor.record.log.wiring import PredictionLog
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

logger = structlog.get_logger()

FREEZE_S = 120.0
SWEEP_S = 600.0
SWEEP_FILES = 10_000
KEEP_EVALUATIONS = timedelta(days=400)


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
