"""What the batcher tells the registry: values that it measured."""

from __future__ import annotations

import math
from typing import Any

import grpc
import grpc.aio
import structlog
from headrace.registry.v1 import registry_pb2

log = structlog.get_logger()

_TIMEOUT_S = 5.0
# The registry's no for good: the version is gone, is another one, or the registry is older than this call.
_SETTLED = frozenset(
    (
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED,
    )
)


class RegistryReports:
    """Reports measured metrics. source: names this process in the record."""

    def __init__(self, stub: Any, source: str) -> None:
        self._stub = stub
        self._source = source

    async def record(self, model: str, version: str, digest: str, metrics: dict[str, float]) -> bool:
        """Return whether the values were taken, or never will be. Values that are not finite are left out."""
        if "--" in version:  # a graph of a pipeline's own is no version that the registry could note them of
            return True
        request = registry_pb2.RecordMeasuredMetricsRequest(
            name=f"models/{model}/versions/{version}",
            digest=digest,
            metrics=[
                registry_pb2.Metric(name=name, value=value, source=registry_pb2.Metric.SOURCE_MEASURED)
                for name, value in metrics.items()
                if math.isfinite(value)
            ],
            source_process=self._source,
        )
        if not request.metrics:
            return True
        try:
            await self._stub.RecordMeasuredMetrics(request, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            log.warning("measured values not taken", model=model, version=version, code=error.code().name)
            return error.code() in _SETTLED
        return True
