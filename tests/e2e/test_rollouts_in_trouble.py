"""Rollouts whose surroundings die: they end as they would have, and no caller notices."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_client import Client
from headrace_servicekit.testing import eventually

from tests.kit.deployment.topology import services
from tests.kit.models.onnx_models import table
from tests.kit.rollout.rollouts import Rollouts, Traffic
from tests.kit.stack import processes
from tests.kit.stack.extra_replica import beside
from tests.kit.stack.running import RunningStack
from tests.kit.stack.served_models import register, serve

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

MODEL = "rollouts-in-trouble"
RATE = 50.0
STEPS = [{"percent": 20, "dwell": "4s"}, {"percent": 100, "dwell": "2s"}]
POLICY = {"strategy": "STRATEGY_CANARY", "steps": STEPS, "margin_percent": 20, "no_data_timeout": "120s"}


@pytest.fixture
async def rollouts(own_stack: RunningStack) -> AsyncIterator[Rollouts]:
    """A model on a stack of its own whose v1 is in production, with an equal v2 and a v3 that fails."""
    with Client(own_stack.address, token=own_stack.token) as client:
        serve(client, MODEL, {"v1": table(8)})
        register(client, MODEL, "v2", table(9))
        register(client, MODEL, "v3", table(2))
    async with grpc.aio.insecure_channel(own_stack.address) as channel:
        yield Rollouts(own_stack, channel, MODEL)


async def test_whatever_is_killed_a_rollout_goes_on_where_it_was(rollouts: Rollouts, own_stack: RunningStack):
    versions = {"v1": "v2", "v2": "v1"}
    serving = "v1"
    async with Traffic.running(own_stack, MODEL, rate=RATE) as traffic:
        for component in ("rollout", "monitor", "router-control", "registry", "postgres"):
            started = await rollouts.start(versions[serving], POLICY)
            await eventually(lambda name=started.name: at_first_step(rollouts, name), within=60, every=0.1)
            own_stack.kill(component)
            over = await ended(rollouts, started.name)
            assert over.state == pb.Rollout.STATE_SUCCEEDED, (component, over)
            types = await rollouts.events(started.name)
            assert [one for one in types if one in ("started", "step", "promoting", "succeeded")] == [
                "started", "step", "step", "promoting", "succeeded",
            ], (component, types)  # fmt: skip
            serving = versions[serving]
    assert traffic.bad == []


async def test_a_bad_version_is_taken_back_though_the_service_is_killed_again_and_again(
    rollouts: Rollouts, own_stack: RunningStack
):
    async with Traffic.running(own_stack, MODEL, rate=RATE) as traffic:
        started = await rollouts.start("v3", POLICY)
        await eventually(lambda: at_first_step(rollouts, started.name), within=60, every=0.1)
        for _ in range(3):
            own_stack.kill("rollout")
            await eventually(lambda: own_stack.status("rollout").process is not None, within=20)
        over = await ended(rollouts, started.name)
        assert over.state == pb.Rollout.STATE_ROLLED_BACK, over
        bad = len(traffic.bad)
        await eventually(lambda: traffic.good[-1] > traffic.bad[-1] + 2, within=20)
        assert len(traffic.bad) <= bad + 5


@pytest.mark.parametrize(
    ("version", "state"),
    [("v2", pb.Rollout.STATE_SUCCEEDED), ("v3", pb.Rollout.STATE_ROLLED_BACK)],
    ids=["good", "bad"],
)
async def test_a_rollout_that_is_cut_off_from_its_control_plane_stays_where_it_is_and_then_goes_on(
    rollouts: Rollouts, own_stack: RunningStack, version: str, state: pb.Rollout.State
):
    async with Traffic.running(own_stack, MODEL, rate=RATE) as traffic:
        started = await rollouts.start(version, POLICY)
        await eventually(lambda: at_first_step(rollouts, started.name), within=60, every=0.1)
        with processes.frozen(own_stack, "router-control"):
            answered = len(traffic.good)
            await eventually(lambda: len(traffic.good) >= answered + 10 * RATE * 0.7, within=60)
            cut_off = await rollouts.get(started.name)
            # Longer than the dwell: what nobody can acknowledge is not done.
            assert (cut_off.step, cut_off.HasField("end_time")) == (0, False), cut_off
        over = await ended(rollouts, started.name)
        assert over.state == state, over
        bad = len(traffic.bad)
        await eventually(lambda: traffic.good[-1] > max(traffic.bad, default=0.0) + 2, within=20)
        assert len(traffic.bad) <= bad + 5
    assert version != "v2" or traffic.bad == []
    with Client(own_stack.address, token=own_stack.token) as client:
        route = client.routes.get(MODEL).route
    assert (route.managed_by, [one.weight for one in route.variants]) == ("", [1])


async def at_first_step(rollouts: Rollouts, name: str) -> bool:
    """Return whether some traffic has moved, once the service answers."""
    try:
        return (await rollouts.get(name)).percent > 0
    except grpc.aio.AioRpcError:
        return False


async def ended(rollouts: Rollouts, name: str) -> pb.Rollout:
    """Wait until a rollout is over, whoever is away meanwhile."""

    async def over() -> pb.Rollout | None:
        try:
            found = await rollouts.get(name)
        except grpc.aio.AioRpcError:
            return None
        return found if found.HasField("end_time") else None

    found = await eventually(over, within=150, every=0.2)
    assert found is not None
    return found


async def test_a_second_replica_finishes_what_the_first_one_began(rollouts: Rollouts, own_stack: RunningStack):
    with Client(own_stack.address, token=own_stack.token) as client:
        before = client.models.get(MODEL).production_version
        after = {"v1": "v2", "v2": "v1"}[before]
        async with beside(own_stack, services()["rollout"]), Traffic.running(own_stack, MODEL, rate=RATE) as traffic:
            started = await rollouts.start(after, POLICY)
            await eventually(lambda: at_first_step(rollouts, started.name), within=60, every=0.1)
            async with processes.gone(own_stack, "rollout"):
                # Nobody answers for rollouts by now: the registry tells who goes on.
                await eventually(lambda: client.models.get(MODEL).production_version == after, within=90, every=0.5)
            over = await ended(rollouts, started.name)
    assert over.state == pb.Rollout.STATE_SUCCEEDED, over
    assert traffic.bad == []
