"""Counters put together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime

from headrace_monitor.record.counters.evidence import EvidenceReader
from headrace_monitor.record.counters.intake import Intake, Limits
from headrace_monitor.record.counters.metrics import CounterMetrics
from headrace_monitor.record.counters.observer import MinuteObserver
from headrace_monitor.record.counters.reader import LostBatchCounts, TrafficReader
from headrace_monitor.record.counters.retention import CounterRetention, RetentionPolicy
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

OBSERVE_S = 5.0
EXPIRE_S = 600.0


@dataclass(frozen=True, slots=True)
class Counters:
    """What RPCs need of counters."""

    intake: Intake
    reading: TrafficReader
    evidence: EvidenceReader


def open_counters(runtime: Runtime[MonitorSettings], database: Database) -> Counters:
    """Return counters over the database, and start observing and expiring them."""
    settings, clock = runtime.settings, runtime.clock
    metrics, losses = CounterMetrics(runtime.metrics), LostBatchCounts()
    policy = RetentionPolicy(
        minutes=timedelta(days=settings.counter_minutes_d),
        counts=timedelta(days=settings.counter_retention_d),
        silent=timedelta(days=settings.counter_silence_d),
    )
    observer = MinuteObserver(database, losses, metrics, clock)
    retention = CounterRetention(database, policy, metrics)

    async def expire() -> None:
        await database.there.wait()
        # Not at once: after a long absence of all monitors, data planes must have the time to report first.
        await clock.sleep(EXPIRE_S)
        await periodic("expire counters", retention.step, every_s=EXPIRE_S, clock=clock)

    runtime.every("observe counters", OBSERVE_S, observer.step, after=database.there)
    runtime.loop("expire counters", expire)
    limits = Limits(settings.max_processes, settings.counter_max_series)
    return Counters(
        Intake(database, limits, metrics, clock),
        TrafficReader(database, losses),
        EvidenceReader(database, clock, minutes=policy.minutes),
    )
