"""Rollouts as tests make them, as values and through the front door."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
from google.protobuf import json_format
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace.rollout.v1 import rollout_pb2_grpc
from headrace.router.v1 import route_pb2
from headrace_rollout.decisions.policies import Policy, Step, Strategy
from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.peers import route_text
from headrace_servicekit.testing import eventually

from tests.kit.edge import metadata
from tests.kit.stack import RunningStack

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CANARY = Policy(Strategy.CANARY, (Step(0.05, MINUTE), Step(0.5, MINUTE), Step(1.0, MINUTE)))
IMPLICIT = route_pb2.Route(
    name="routes/digits",
    variants=[route_pb2.Variant(name="production", follow_production=True, weight=1, serving_version="v1")],
)


def rollout(policy: Policy = CANARY, **how: Any) -> Rollout:
    """Return a rollout of version v2 of digits beside v1, just started."""
    told: dict[str, Any] = {
        "id": 7,
        "model": "digits",
        "version": "v2",
        "baseline": "v1",
        "variant": "production",
        "pool": "default",
        "reference": "follow_production",
        "alias": "",
        "policy": policy,
        "original": route_text(IMPLICIT),
        "etag": "e0",
        "client": "ana",
        "start_reason": "",
        "create_time": NOW,
    }
    return Rollout(**{**told, **how})


class Rollouts:
    """RolloutService through the front door, for one model."""

    def __init__(self, stack: RunningStack, channel: grpc.aio.Channel, model: str) -> None:
        self._stub = rollout_pb2_grpc.RolloutServiceStub(channel)
        self._stack, self.model = stack, model

    async def call(self, method: str, request: Any, *, timeout: float = 30) -> Any:
        """Call a method with a token of every scope."""
        return await getattr(self._stub, method)(request, timeout=timeout, metadata=metadata(self._stack.token()))

    async def start(self, version: str, policy: dict[str, Any], **how: Any) -> pb.Rollout:
        """Start a rollout. policy: as JSON has it."""
        request = pb.StartRolloutRequest(
            parent=f"models/{self.model}",
            version=version,
            policy=json_format.ParseDict(policy, pb.RolloutPolicy()),
            request_id=str(uuid.uuid4()),
            **how,
        )
        return (await self.call("StartRollout", request)).rollout

    async def get(self, name: str) -> pb.Rollout:
        """Return a rollout."""
        return (await self.call("GetRollout", pb.GetRolloutRequest(name=name))).rollout

    async def watch(self, name: str) -> AsyncIterator[pb.Rollout]:
        """Yield a rollout as it goes on, until it is over."""
        request = pb.WatchRolloutRequest(name=name)
        async for answer in self._stub.WatchRollout(request, timeout=120, metadata=metadata(self._stack.token())):
            yield answer.rollout

    async def over(self, name: str, *, within: float = 60.0) -> pb.Rollout:
        """Wait until a rollout is over, and return it."""

        async def ended() -> pb.Rollout | None:
            found = await self.get(name)
            return found if found.HasField("end_time") else None

        found = await eventually(ended, within=within, every=0.1)
        assert found is not None
        return found

    async def events(self, name: str) -> list[str]:
        """Return the types of what happened, the first one first."""
        answer = await self.call("ListRolloutEvents", pb.ListRolloutEventsRequest(parent=name, page_size=1000))
        return [event.type for event in reversed(answer.events)]
