"""Rollouts as a user meets them, through the front door of the whole stack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_servicekit.testing import eventually

from tests.kit.onnx_models import linear
from tests.kit.refusals import refused
from tests.kit.rollouts import Rollouts
from tests.kit.served import ROW, Served, register, request, serve

MODEL = "rollouts-unjudged"


@pytest.fixture
async def rollouts(served: Served) -> AsyncIterator[Rollouts]:
    """A model whose v1 is in production."""
    serve(served.client, MODEL, {"v1": linear(seed=1)})
    register(served.client, MODEL, "v2", linear(seed=2))
    async with grpc.aio.insecure_channel(served.stack.address) as channel:
        yield Rollouts(served.stack, channel, MODEL)


async def test_a_big_bang_moves_all_traffic_and_promotes_the_version(rollouts: Rollouts, served: Served):
    started = await rollouts.start("v2", {"strategy": "STRATEGY_BIG_BANG"}, reason="first")
    over = await rollouts.over(started.name)
    assert (over.state, over.percent) == (pb.Rollout.STATE_SUCCEEDED, 100), over
    assert await rollouts.events(started.name) == ["started", "step", "promoting", "succeeded"]
    assert served.client.get_model(MODEL).production_version == "v2"
    route = served.client.get_route(MODEL).route
    assert (route.managed_by, [one.name for one in route.variants]) == ("", ["production"])
    assert answered_by(served) == "v2"


async def test_an_aborted_rollout_leaves_the_route_as_it_was(rollouts: Rollouts, served: Served):
    steps = [{"percent": 50, "dwell": "60s"}, {"percent": 100}]
    started = await rollouts.start("v2", {"strategy": "STRATEGY_ROLLING", "steps": steps})

    async def half() -> bool:
        return (await rollouts.get(started.name)).percent == 50

    await eventually(half, within=60)
    held = served.client.get_route(MODEL).route
    assert held.managed_by == f"rollouts/{started.name.rpartition('/')[2]}"
    assert {one.serving_version: one.weight for one in held.variants} == {"v1": 0.5, "v2": 0.5}
    second = await refused(rollouts.start("v2", {"strategy": "STRATEGY_BIG_BANG"}))
    assert second.reason == "ROLLOUT_RUNNING"

    await rollouts.call("AbortRollout", pb.AbortRolloutRequest(name=started.name, reason="enough"))
    over = await rollouts.over(started.name)
    assert over.state == pb.Rollout.STATE_ABORTED, over
    assert await rollouts.events(started.name) == ["started", "step", "rolling_back", "aborted"]
    route = served.client.get_route(MODEL).route
    assert (route.managed_by, [one.serving_version for one in route.variants]) == ("", ["v1"])
    assert answered_by(served) == "v1"


async def test_a_watch_sees_a_rollout_to_its_end(rollouts: Rollouts, served: Served):
    started = await rollouts.start("v2", {"strategy": "STRATEGY_BIG_BANG"})
    states = [seen.state async for seen in rollouts.watch(started.name)]
    assert states[-1] == pb.Rollout.STATE_SUCCEEDED


def answered_by(served: Served) -> str:
    """Return which version answers."""
    return served.predict(request(MODEL, features=ROW)).version
