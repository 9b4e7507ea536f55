"""The traffic of a variant during the last minutes, as the monitor counts it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc.aio
import structlog
from headrace.monitor.v1 import monitor_pb2, monitor_pb2_grpc
from headrace.router.v1 import predict_pb2
from headrace_servicekit.clock import Clock

from headrace_rollout.decisions.judgement import is_fault
from headrace_rollout.decisions.planning import VariantTraffic

log = structlog.get_logger()

READ_S = 3.0
# Counted by the minute: the present one is not over.
MINUTES = 5
_ONLINE = predict_pb2.PredictResponse.SERVED_FROM_ONLINE


class TrafficReader:
    """Asks the monitor."""

    def __init__(self, channel: Any, clock: Clock) -> None:
        self._stub = monitor_pb2_grpc.MonitorServiceStub(channel)
        self._clock = clock

    async def of(self, model: str, variant: str) -> VariantTraffic | None:
        """Return the traffic of a variant; None while the monitor does not say."""
        end = self._clock.now().replace(second=0, microsecond=0)
        request = monitor_pb2.GetTrafficRequest(parent=f"models/{model}")
        request.range.start_time.FromDatetime(end - timedelta(minutes=MINUTES))
        request.range.end_time.FromDatetime(end)
        try:
            response = await self._stub.GetTraffic(request, timeout=READ_S)
        except grpc.aio.AioRpcError as error:
            log.warning("traffic unknown", model=model, reason=error.details())
            return None
        found = [one for one in response.traffic if one.variant == variant]
        return VariantTraffic(
            seconds=60.0 * MINUTES,
            requests=sum(one.count for one in found),
            online=sum(one.count for one in found if one.code == 0 and one.served_from == _ONLINE),
            bad=sum(one.count for one in found if is_fault(one.code)),
        )
