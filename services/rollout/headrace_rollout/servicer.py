"""RolloutService: convert, call, convert."""

from __future__ import annotations

from typing import Any

from headrace.rollout.v1 import rollout_pb2, rollout_pb2_grpc

from headrace_rollout.store import Store


class RolloutServicer(rollout_pb2_grpc.RolloutServiceServicer):
    """Answers over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def DescribeRollout(self, request: Any, context: Any) -> rollout_pb2.DescribeRolloutResponse:
        origin = await self._store.origin()
        answer = rollout_pb2.DescribeRolloutResponse(incarnation=str(origin.incarnation))
        answer.create_time.FromDatetime(origin.create_time)
        return answer
