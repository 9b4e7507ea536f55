"""Drift evaluations and histograms for a report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headrace.monitor.v1 import monitor_pb2

from headrace_monitor.judge.drift.decisions.histograms import Histogram
from headrace_monitor.judge.drift.wiring import Drift


class LoadedDrift:
    """Drift evaluations and histograms. Every method raises Unavailable until drift is loaded."""

    def __init__(self, drift: Drift) -> None:
        self._drift = drift

    async def list_drift(self, request: monitor_pb2.ListDriftRequest) -> monitor_pb2.ListDriftResponse:
        return await self._drift.rpcs.list_drift(request)

    async def get_drift(self, request: monitor_pb2.GetDriftRequest) -> monitor_pb2.GetDriftResponse:
        return await self._drift.rpcs.get_drift(request)

    async def histograms(
        self, model: str, version: str, start: datetime, end: datetime, columns: Sequence[str]
    ) -> tuple[Histogram, ...]:
        return await self._drift.distributions.histograms(model, version, start, end, columns)
