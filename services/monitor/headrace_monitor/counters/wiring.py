"""Counters put together."""

from __future__ import annotations

from dataclasses import dataclass

from headrace_servicekit.runtime import Runtime

from headrace_monitor.counters.intake import Intake
from headrace_monitor.counters.metrics import CounterMetrics
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database


@dataclass(frozen=True, slots=True)
class Counters:
    """What RPCs need of counters."""

    intake: Intake


def open_counters(runtime: Runtime[MonitorSettings], database: Database) -> Counters:
    """Return counters over the database."""
    metrics = CounterMetrics(runtime.metrics)
    return Counters(Intake(database, metrics, runtime.clock))
