"""Drift as a report asks for it: once it is loaded, and with the bins of what was looked at."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.postgres.connections import Connections

from headrace_monitor.drift.wiring import Drift
from headrace_monitor.report.content import Histogram


class LoadedDrift:
    """Looks at windows. Every method raises Unavailable until drift is loaded."""

    def __init__(self, drift: Drift) -> None:
        self._drift = drift

    async def list_drift(self, request: monitor_pb2.ListDriftRequest) -> monitor_pb2.ListDriftResponse:
        return await self._drift.questions.list_drift(request)

    async def get_drift(self, request: monitor_pb2.GetDriftRequest) -> monitor_pb2.GetDriftResponse:
        return await self._drift.questions.get_drift(request)


class WindowHistograms:
    """Bins of references and windows, as they are kept."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def histograms(
        self, model: str, version: str, start: datetime, end: datetime, columns: Sequence[str]
    ) -> tuple[Histogram, ...]:
        """Return the bins of those of the columns that have any; nothing without a reference. Raises Unavailable."""
        # Statistics load scipy: a report asks for them late, and not on the event loop.
        store, windows, binned = await asyncio.to_thread(_modules)
        kept = await store.References(self._connections).current(model, version)
        if kept is None:
            return ()
        window = await windows.Windows(self._connections, uuid4()).total(kept.number, start, end)
        found = [
            binned.histogram(name, kept.reference.columns[name], window.summaries[name])
            for name in columns
            if name in kept.reference.columns and name in window.summaries
        ]
        return tuple(each for each in found if each is not None)


def _modules() -> tuple[Any, Any, Any]:
    names = ("references.store", "windows.store", "report.histograms")
    store, windows, binned = (importlib.import_module(f"headrace_monitor.{name}") for name in names)
    return store, windows, binned
