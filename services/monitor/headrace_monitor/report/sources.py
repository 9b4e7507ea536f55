"""What a report needs of the other parts of the monitor, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.identity import Identity

from headrace_monitor.alert.decisions.values import AlertView
from headrace_monitor.judge.drift.decisions.histograms import Histogram
from headrace_monitor.record.counters.reading import TrafficSummary
from headrace_monitor.times import Span


class TrafficSource(Protocol):
    """Counters."""

    async def traffic(self, model: str, span: Span) -> TrafficSummary:
        """Return what was counted in the minutes that begin in a time."""
        ...


class DriftSource(Protocol):
    """Drift evaluations."""

    async def list_drift(self, request: monitor_pb2.ListDriftRequest) -> monitor_pb2.ListDriftResponse:
        """Return the last scheduled evaluations of a version, the latest first."""
        ...

    async def get_drift(self, request: monitor_pb2.GetDriftRequest) -> monitor_pb2.GetDriftResponse:
        """Evaluate now."""
        ...


class HistogramSource(Protocol):
    """References and windows, as bins."""

    async def histograms(
        self, model: str, version: str, start: datetime, end: datetime, columns: Sequence[str]
    ) -> tuple[Histogram, ...]:
        """Return the bins of those of the columns that have any."""
        ...


class PerformanceSource(Protocol):
    """Predictions joined with their outcomes."""

    async def get(
        self, request: monitor_pb2.GetPerformanceRequest, remaining_s: float | None
    ) -> monitor_pb2.GetPerformanceResponse:
        """Return how good the predictions of a time were."""
        ...


class AlertSource(Protocol):
    """Alerts."""

    async def alerts(
        self, caller: Identity, *, before: int | None, model: str, is_open: bool | None, size: int
    ) -> list[AlertView]:
        """Return alerts, the latest first."""
        ...
