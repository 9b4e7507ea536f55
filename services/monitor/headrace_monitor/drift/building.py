"""References, windows and looks put together. Imported late: scipy and Arrow take a second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime

from headrace_monitor.drift import metrics as drift_metrics
from headrace_monitor.drift.looking import Schedule
from headrace_monitor.drift.looks import Looker
from headrace_monitor.drift.questions import DriftQuestions
from headrace_monitor.drift.scheduler import Scheduler
from headrace_monitor.drift.store import Looks
from headrace_monitor.drift.wiring import Parts
from headrace_monitor.performance.store import PerformanceStore
from headrace_monitor.references.freezer import Freezer
from headrace_monitor.references.freezing_process import FreezingProcess
from headrace_monitor.references.log_rows import LogRows
from headrace_monitor.references.store import References
from headrace_monitor.references.writing_rows import RowsWriter
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.windows import metrics as window_metrics
from headrace_monitor.windows.deriver import Deriver
from headrace_monitor.windows.store import Windows

log = structlog.get_logger()

FREEZE_S = 120.0
SWEEP_S = 600.0
SWEEP_FILES = 10_000
KEEP_LOOKS = timedelta(days=400)


def build(runtime: Runtime[MonitorSettings], parts: Parts) -> DriftQuestions:
    """Start the loops and return what answers calls."""
    settings, clock = runtime.settings, runtime.clock
    references = References(parts.connections)
    windows = Windows(parts.connections)
    looks = Looks(parts.connections)
    rows = LogRows(parts.reader)
    freeze = FreezingProcess(timeout_s=FREEZE_S)
    calibrate = PerformanceStore(parts.connections).calibrate_first
    freezer = Freezer(references, parts.contracts, parts.blobs, freeze, RowsWriter(rows), calibrate, clock)
    deriver = Deriver(
        windows,
        references,
        parts.reader,
        settings.window_s,
        clock,
        window_metrics.Metrics(runtime.metrics),
    )
    schedule = Schedule(settings.window_s, timedelta(seconds=settings.drift_settle_s), settings.drift_alarms_per_week)
    looker = Looker(windows, looks, rows, clock)
    scheduler = Scheduler(looker, looks, windows, references, schedule, clock, drift_metrics.Metrics(runtime.metrics))
    keep = timedelta(days=settings.windows_keep_d)
    every_s = settings.derive_every_s
    steps = {
        # Who is new is found by reading the list of the log's files.
        "references": (freezer.freeze_missing, every_s * 4),
        "windows": (deriver.catch_up, every_s),
        "looks": (scheduler.step, every_s),
        "expire windows": (lambda: _expire(windows, looks, clock, keep), SWEEP_S),
    }
    for name, (step, pause_s) in steps.items():
        runtime.loop(name, lambda n=name, s=step, p=pause_s: periodic(n, _patient(n, s), every_s=p, clock=clock))
    return DriftQuestions(references, freezer, looker, looks, schedule, clock)


def _patient(name: str, step: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    """Return a step that takes the absence of a store or the registry for what it is: health tells of it."""

    async def patient() -> None:
        try:
            await step()
        except Unavailable as error:
            log.debug("not now", loop=name, problem=error.public_message)

    return patient


async def _expire(windows: Windows, looks: Looks, clock: Clock, keep: timedelta) -> None:
    await windows.expire(clock.now() - keep, files=SWEEP_FILES)
    await looks.expire(clock.now() - KEEP_LOOKS)
