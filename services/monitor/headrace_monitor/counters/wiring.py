"""Counters put together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime

from headrace_monitor.counters.intake import Intake, Limits
from headrace_monitor.counters.keeping import Keeping, Retention
from headrace_monitor.counters.losses import LostBatches
from headrace_monitor.counters.metrics import CounterMetrics
from headrace_monitor.counters.observing import Observing
from headrace_monitor.counters.reading import Reading
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

OBSERVE_S = 5.0
TIDY_S = 600.0


@dataclass(frozen=True, slots=True)
class Counters:
    """What RPCs need of counters."""

    intake: Intake
    reading: Reading


def open_counters(runtime: Runtime[MonitorSettings], database: Database) -> Counters:
    """Return counters over the database, and begin to tell the alert rules of them and to tidy them up."""
    settings, clock, metrics, losses = runtime.settings, runtime.clock, CounterMetrics(runtime.metrics), LostBatches()
    retention = Retention(
        minutes=timedelta(days=settings.counter_minutes_d),
        counts=timedelta(days=settings.counter_retention_d),
        silent=timedelta(days=settings.counter_silence_d),
    )
    observing, keeping = Observing(database, losses, metrics, clock), Keeping(database, retention, metrics)

    async def observe() -> None:
        await database.there.wait()
        await periodic("observe counters", observing.step, every_s=OBSERVE_S, clock=clock)

    async def tidy() -> None:
        await database.there.wait()
        # Not at once: after a long absence of all monitors, data planes first have to be heard of again.
        await clock.sleep(TIDY_S)
        await periodic("tidy counters", keeping.tidy, every_s=TIDY_S, clock=clock)

    runtime.loop("observe counters", observe)
    runtime.loop("tidy counters", tidy)
    limits = Limits(settings.max_processes, settings.counter_max_series)
    return Counters(Intake(database, limits, metrics, clock), Reading(database, losses))
