"""Performance put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from headrace_servicekit.clock import Clock
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime

from headrace_monitor.judge.performance.arrivals import ArrivalProcessor
from headrace_monitor.judge.performance.calculator import OutcomeJoiner, PerformanceCalculator
from headrace_monitor.judge.performance.evaluator import HourEvaluator
from headrace_monitor.judge.performance.servicer import PerformanceServicer
from headrace_monitor.judge.performance.store import PerformanceStore
from headrace_monitor.judge.references.store import References
from headrace_monitor.record.log.wiring import PredictionLog
from headrace_monitor.record.outcomes.wiring import KnownOutcomes
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

EXPIRE_S = 3600.0


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

    steps = {
        "process outcomes": (arrivals.step, settings.outcomes_every_s),
        "evaluate hours": (evaluator.step, settings.performance_every_s),
        "expire performance": (expire, EXPIRE_S),
    }
    for name, (step, every_s) in steps.items():
        runtime.loop(name, lambda n=name, s=step, e=every_s: _repeated(database, n, s, e, clock))
    return PerformanceServicer(calculator, kept, clock)


async def _repeated(
    database: Database, name: str, step: Callable[[], Awaitable[object]], every_s: float, clock: Clock
) -> None:
    await database.there.wait()
    await periodic(name, step, every_s=every_s, clock=clock)
