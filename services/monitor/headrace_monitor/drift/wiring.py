"""Drift as the service has it: there a second after the start, since loading scipy and Arrow takes so long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.runtime import Runtime

from headrace_monitor.log.contracts import ContractSource
from headrace_monitor.log.wiring import PredictionLog, place_of
from headrace_monitor.references.blobs import RegistryBlobs
from headrace_monitor.settings import MonitorSettings

if TYPE_CHECKING:
    from headrace_monitor.drift.questions import DriftQuestions
    from headrace_monitor.references.artifacts import Blobs
    from headrace_monitor.references.log_rows import LogReader


@dataclass(frozen=True, slots=True)
class Parts:
    """What references, windows and looks are built on. blobs: the registry's files."""

    connections: Connections
    reader: LogReader
    contracts: ContractSource
    blobs: Blobs


class Drift:
    """Answers about references and drift, once they are loaded."""

    def __init__(self) -> None:
        self._questions: DriftQuestions | None = None

    @property
    def questions(self) -> DriftQuestions:
        """Return what answers. Raises Unavailable until it is there."""
        if self._questions is None:
            raise Unavailable("the monitor is starting", reason="STARTING", retry_after_s=1.0)
        return self._questions

    async def run(self, runtime: Runtime[MonitorSettings], parts: Parts) -> None:
        """Load and build everything; never returns."""
        build = await asyncio.to_thread(_load)
        self._questions = build(runtime, parts)
        await asyncio.Event().wait()


async def open_drift(runtime: Runtime[MonitorSettings], connections: Connections, log: PredictionLog) -> Drift:
    """Open what drift stands on, and begin to load it. The registry's store need not be up."""
    place = replace(place_of(runtime.settings), bucket=runtime.settings.registry_bucket)
    blobs = await runtime.enter(RegistryBlobs(place))
    drift = Drift()
    parts = Parts(connections, log.reader, log.contracts, blobs)
    runtime.loop("drift", lambda: drift.run(runtime, parts))
    return drift


def _load() -> Callable[[Runtime[MonitorSettings], Parts], DriftQuestions]:
    # Imported here: scipy and Arrow take a second, which the start does not wait for (decision 204).
    from headrace_monitor.drift.building import build

    return build
