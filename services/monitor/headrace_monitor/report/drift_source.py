"""Drift evaluations and histograms for a report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.postgres.connections import Connections

from headrace_monitor.judge.drift.wiring import Drift
from headrace_monitor.report.content import Histogram

if TYPE_CHECKING:
    from headrace_monitor.judge.references.store import References
    from headrace_monitor.judge.windows.postgres import PostgresWindows


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What needs scipy and Arrow, imported late (decision 140)."""

    references: type[References]
    windows: type[PostgresWindows]
    histogram: Callable[..., Histogram | None]


class LoadedDrift:
    """References and drift evaluations. Every method raises Unavailable until drift is loaded."""

    def __init__(self, drift: Drift) -> None:
        self._drift = drift

    async def get_reference(self, request: monitor_pb2.GetReferenceRequest) -> monitor_pb2.GetReferenceResponse:
        return await self._drift.rpcs.get_reference(request)

    async def list_drift(self, request: monitor_pb2.ListDriftRequest) -> monitor_pb2.ListDriftResponse:
        return await self._drift.rpcs.list_drift(request)

    async def get_drift(self, request: monitor_pb2.GetDriftRequest) -> monitor_pb2.GetDriftResponse:
        return await self._drift.rpcs.get_drift(request)


class WindowHistograms:
    """Bins of references and windows, as they are kept."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def histograms(
        self, model: str, version: str, start: datetime, end: datetime, columns: Sequence[str]
    ) -> tuple[Histogram, ...]:
        """Return the bins of those of the columns that have any; nothing without a reference. Raises Unavailable."""
        # Statistics load scipy: a report asks for them late, and not on the event loop.
        loaded = await asyncio.to_thread(_load)
        reference = await loaded.references(self._connections).current(model, version)
        if reference is None:
            return ()
        window = await loaded.windows(self._connections).total(reference.number, start, end)
        histograms = [
            loaded.histogram(name, reference.reference.columns[name], window.summaries[name])
            for name in columns
            if name in reference.reference.columns and name in window.summaries
        ]
        return tuple(each for each in histograms if each is not None)


def _load() -> _Loaded:
    from headrace_monitor.judge.references.store import References
    from headrace_monitor.judge.windows.postgres import PostgresWindows
    from headrace_monitor.report.histograms import histogram

    return _Loaded(References, PostgresWindows, histogram)
