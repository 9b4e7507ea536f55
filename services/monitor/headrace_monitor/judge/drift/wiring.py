"""Start drift in the background: loading scipy and Arrow takes a second, which the start does not wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.s3 import Place

from headrace_monitor.judge.references.blobs import RegistryBlobs
from headrace_monitor.record.log.wiring import PredictionLog
from headrace_monitor.settings import MonitorSettings

if TYPE_CHECKING:
    from headrace_monitor.judge.drift.distribution_rpcs import DistributionRpcs
    from headrace_monitor.judge.drift.rpcs import DriftRpcs
    from headrace_monitor.judge.references.artifacts import Blobs


class Drift:
    """Gives access to the RPCs of references and drift, once they are loaded."""

    def __init__(self) -> None:
        self._loaded: tuple[DriftRpcs, DistributionRpcs] | None = None

    @property
    def rpcs(self) -> DriftRpcs:
        """Return the implementation of the RPCs. Raises Unavailable until it is loaded."""
        return self._there()[0]

    @property
    def distributions(self) -> DistributionRpcs:
        """Return the implementation of GetDistributions. Raises Unavailable until it is loaded."""
        return self._there()[1]

    async def run(
        self, runtime: Runtime[MonitorSettings], connections: Connections, log: PredictionLog, blobs: Blobs
    ) -> None:
        """Load and build everything; never returns."""
        build = await asyncio.to_thread(_load)
        self._loaded = build(runtime, connections, log, blobs)
        await asyncio.Event().wait()

    def _there(self) -> tuple[DriftRpcs, DistributionRpcs]:
        if self._loaded is None:
            raise Unavailable("the monitor is starting", reason="STARTING", retry_after_s=1.0)
        return self._loaded


async def open_drift(runtime: Runtime[MonitorSettings], connections: Connections, log: PredictionLog) -> Drift:
    """Open the registry's bucket and start loading drift. The bucket's store need not be up."""
    place = Place.of(runtime.settings, bucket=runtime.settings.registry_bucket)
    blobs = await runtime.enter(RegistryBlobs(place))
    drift = Drift()
    runtime.loop("drift", lambda: drift.run(runtime, connections, log, blobs))
    return drift


def _load() -> Callable[
    [Runtime[MonitorSettings], Connections, PredictionLog, Blobs], tuple[DriftRpcs, DistributionRpcs]
]:
    # Imported here: scipy and Arrow take a second, which the start does not wait for (decision 140).
    from headrace_monitor.judge.drift.building import build

    return build
