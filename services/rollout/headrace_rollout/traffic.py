"""The traffic of a variant during the last minutes, as the monitor counts it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import grpc.aio
import structlog
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace.router.v1 import predict_pb2
from headrace_servicekit.clock import Clock

from headrace_rollout.decisions import routes
from headrace_rollout.decisions.counts import is_fault
from headrace_rollout.decisions.headroom import VariantTraffic
from headrace_rollout.decisions.rollouts import Rollout

log = structlog.get_logger()

READ_S = 3.0
# Counted by the minute: the present one is not over.
MINUTES = 5
_ONLINE = predict_pb2.PredictResponse.SERVED_FROM_ONLINE
_PRECOMPUTED = predict_pb2.PredictResponse.SERVED_FROM_PRECOMPUTED


class TrafficReader:
    """Asks the monitor."""

    def __init__(self, channel: Any, clock: Clock) -> None:
        self._stub = monitor_pb2_grpc.TrafficServiceStub(channel)
        self._clock = clock

    async def of(self, model: str, variant: str) -> VariantTraffic | None:
        """Return the traffic of a variant; None while the monitor is away."""
        traffic = await self._read(model)
        return None if traffic is None else _sum(one for one in traffic if one.variant == variant)

    async def arms(self, rollout: Rollout) -> tuple[VariantTraffic, VariantTraffic] | None:
        """Return the traffic of the baseline and of the new version; None while the monitor is away."""
        traffic = await self._read(rollout.model)
        if traffic is None:
            return None
        baseline = _sum(one for one in traffic if one.variant == rollout.variant)
        return baseline, _sum(one for one in traffic if (one.variant, one.version) == (routes.VARIANT, rollout.version))

    async def _read(self, model: str) -> Sequence[monitor_pb2.GetTrafficResponse.Traffic] | None:
        end = self._clock.now().replace(second=0, microsecond=0)
        request = monitor_pb2.GetTrafficRequest(parent=f"models/{model}")
        request.range.start_time.FromDatetime(end - timedelta(minutes=MINUTES))
        request.range.end_time.FromDatetime(end)
        try:
            return (await self._stub.GetTraffic(request, timeout=READ_S)).traffic
        except grpc.aio.AioRpcError as error:
            log.warning("traffic unknown", model=model, reason=error.details())
            return None


def _sum(found: Iterable[monitor_pb2.GetTrafficResponse.Traffic]) -> VariantTraffic:
    requests = online = bad = precomputed = 0
    for one in found:
        requests += one.count
        online += one.count if one.code == 0 and one.served_from == _ONLINE else 0
        bad += one.count if is_fault(one.code) else 0
        precomputed += one.count if one.served_from == _PRECOMPUTED else 0
    return VariantTraffic(60.0 * MINUTES, requests, online, bad, precomputed)
