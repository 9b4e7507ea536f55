"""AutoscalerService: convert, call, convert."""

from __future__ import annotations

from typing import Any

from headrace.autoscaler.v1 import autoscaler_pb2, autoscaler_pb2_grpc

from headrace_autoscaler.store import Store


class AutoscalerServicer(autoscaler_pb2_grpc.AutoscalerServiceServicer):
    """Answers over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def DescribeAutoscaler(self, request: Any, context: Any) -> autoscaler_pb2.DescribeAutoscalerResponse:
        origin = await self._store.origin()
        answer = autoscaler_pb2.DescribeAutoscalerResponse(incarnation=str(origin.incarnation))
        answer.create_time.FromDatetime(origin.create_time)
        return answer
