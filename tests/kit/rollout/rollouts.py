"""Rollouts as tests make them, as values and through the front door."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import numpy as np
from google.protobuf import json_format
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace.rollout.v1 import rollout_pb2_grpc
from headrace.router.v1 import predict_pb2, route_pb2
from headrace_rollout.decisions.policies import Policy, Shadow, Step, Strategy
from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.peers import route_text
from headrace_servicekit.testing import eventually

from tests.kit.front_door.edge import PREDICT, metadata
from tests.kit.stack.running import RunningStack

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CANARY = Policy(Strategy.CANARY, (Step(0.05, MINUTE), Step(0.5, MINUTE), Step(1.0, MINUTE)))
SHADOW = Policy(
    Strategy.SHADOW, (Step(0.5, MINUTE), Step(1.0, MINUTE)), shadow=Shadow(share=0.5, dwell=MINUTE, min_pairs=100)
)
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


class Traffic:
    """Steady requests to a model of `onnx_models.table`, each computed unless they may come from the cache. bad, good:
    when each was answered, by `time.monotonic`. entries: how many are asked for, from the fifth on.
    """

    def __init__(
        self, stack: RunningStack, channel: grpc.aio.Channel, model: str, *, cached: bool, entries: int
    ) -> None:
        self._call = channel.unary_unary(PREDICT)
        self._stack, self._model, self._cached, self._entries = stack, model, cached, entries
        self.good: list[float] = []
        self.bad: list[float] = []
        self._open: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, stack: RunningStack, model: str, *, rate: float, cached: bool = False, entries: int = 4
    ) -> AsyncIterator[Traffic]:
        """Send `rate` requests a second until the block ends, whether or not earlier ones were answered."""
        async with grpc.aio.insecure_channel(stack.address) as channel:
            traffic = cls(stack, channel, model, cached=cached, entries=entries)
            sending = asyncio.create_task(traffic._send(rate), name="traffic")
            try:
                yield traffic
            finally:
                sending.cancel()
                await asyncio.gather(sending, *traffic._open, return_exceptions=True)

    async def _send(self, rate: float) -> None:
        bearer = metadata(self._stack.token("traffic"))
        began = time.monotonic()
        for number in itertools.count():
            await asyncio.sleep(began + number / rate - time.monotonic())
            # Of the entries that a good version knows, and a bad one does not.
            request = predict_pb2.PredictRequest(model=self._model, user_id=f"user-{number % 997}")
            request.inputs.add(name="index", datatype="INT64", shape=[1])
            request.raw_input_contents.append(np.array([4 + number % self._entries], np.int64).tobytes())
            if not self._cached:
                request.max_age.SetInParent()
            task = asyncio.create_task(self._one(request.SerializeToString(), bearer))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _one(self, request: bytes, bearer: Any) -> None:
        try:
            await self._call(request, timeout=8, metadata=bearer)
        except grpc.aio.AioRpcError:
            self.bad.append(time.monotonic())
        else:
            self.good.append(time.monotonic())
