"""Performance put together."""

from __future__ import annotations

from datetime import timedelta

from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime

from headrace_monitor.log.wiring import PredictionLog
from headrace_monitor.outcomes.wiring import KnownOutcomes
from headrace_monitor.performance.answering import Performances
from headrace_monitor.performance.arriving import Arrivals
from headrace_monitor.performance.looking import Looks
from headrace_monitor.performance.store import PerformanceStore
from headrace_monitor.performance.tracking import Joins, Tracker
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

SWEEP_S = 3600.0


def open_performance(
    runtime: Runtime[MonitorSettings], database: Database, log: PredictionLog, outcomes: KnownOutcomes
) -> Performances:
    """Watch what is told of predictions, and return what answers how good they were."""
    settings, clock = runtime.settings, runtime.clock
    kept, joins = PerformanceStore(database), Joins(log.reader, outcomes.store)
    tracker = Tracker(joins, kept, log.contracts)
    arrivals = Arrivals(
        *(database, log.reader, log.contracts, outcomes.delays, outcomes.metrics, clock),
        look_after=timedelta(seconds=settings.performance_every_s),
    )
    looks = Looks(database, joins, tracker, kept, log.contracts, clock)

    async def take_often() -> None:
        await database.there.wait()
        await periodic("take outcomes", arrivals.step, every_s=settings.outcomes_every_s, clock=clock)

    async def look_often() -> None:
        await database.there.wait()
        await periodic("look at hours", looks.step, every_s=settings.performance_every_s, clock=clock)

    async def sweep() -> None:
        await kept.forget(clock.now() - timedelta(days=settings.log_retention_d))

    async def sweep_often() -> None:
        await database.there.wait()
        await periodic("forget performance", sweep, every_s=SWEEP_S, clock=clock)

    runtime.loop("take outcomes", take_often)
    runtime.loop("look at hours", look_often)
    runtime.loop("forget performance", sweep_often)
    return Performances(tracker, kept, clock)
