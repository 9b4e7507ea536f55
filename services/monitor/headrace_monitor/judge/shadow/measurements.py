"""Reports of shadow versions' metrics to the registry, for promotion gates.

All replicas report the same metrics under the same source, which is idempotent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import structlog
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.times import Span

from headrace_monitor.judge.shadow.decisions.comparisons import Comparison, merged
from headrace_monitor.judge.shadow.decisions.measures import measures
from headrace_monitor.judge.shadow.store import Comparisons
from headrace_monitor.record.log.contracts import ContractSource

log = structlog.get_logger()

MEASURE_EVERY_S = 15.0
TIMEOUT_S = 5.0
SOURCE = "monitor/shadow"
# A version is measured by the pairs of so long, while new ones come.
MEASURED_OVER, RECENT = timedelta(days=7), timedelta(hours=2)


class ShadowMeasurements:
    """Measures the current shadow versions. channel: to the registry."""

    def __init__(self, comparisons: Comparisons, contracts: ContractSource, channel: Any, clock: Clock) -> None:
        self._comparisons, self._contracts, self._clock = comparisons, contracts, clock
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._reported: dict[tuple[str, str], dict[str, float]] = {}

    async def step(self) -> None:
        """Report changed metrics of each shadow version to the registry. Raises Unavailable; the next step resumes."""
        now = self._clock.now()
        active = await self._comparisons.models_since(now - RECENT)
        self._reported = {key: metrics for key, metrics in self._reported.items() if key[0] in active}
        for model in sorted(active):
            found = await self._comparisons.of_model(model, Span(now - MEASURED_OVER, now))
            by_shadow: dict[str, list[Comparison]] = {}
            for pair, one in found.items():
                by_shadow.setdefault(pair.shadow_version, []).append(one)
            for version, parts in by_shadow.items():
                await self._report(model, version, measures(merged(parts)))

    async def _report(self, model: str, version: str, metrics: dict[str, float]) -> None:
        if not metrics or self._reported.get((model, version)) == metrics:
            return
        contract = await self._contracts.get(model, version)
        if contract is None:
            return
        request = registry_pb2.RecordMeasuredMetricsRequest(
            name=f"models/{model}/versions/{version}",
            digest=contract.digest,
            metrics=[registry_pb2.Metric(name=name, value=value) for name, value in metrics.items()],
            source_process=SOURCE,
        )
        try:
            await self._stub.RecordMeasuredMetrics(request, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            log.warning("measures of a shadow not taken", model=model, version=version, code=error.code().name)
            return
        self._reported[model, version] = metrics
