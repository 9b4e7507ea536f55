"""Pools that scale themselves while they are in use, on real batchers with their Tritons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import autoscaler_pb2, policy_pb2
from headrace_client import AsyncClient
from headrace_servicekit.testing import eventually
from headrace_stack.testing import held_stack

from tests.kit import parts
from tests.kit.scaling import message
from tests.kit.stack import RunningStack
from tests.kit.stores import home_for_tests, worker_name
from tests.kit.trouble import RATE, in_use

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
Outcome = autoscaler_pb2.Outcome


@pytest.fixture(scope="module")
def scaled_stack() -> Iterator[RunningStack]:
    """A stack of one of each, which these tests scale and leave as it was."""
    with held_stack(home_for_tests(f"autoscaled-{worker_name()}")) as settings:
        yield RunningStack(settings)


def prompt(**fields: Any) -> policy_pb2.ScalingPolicy:
    """Return a policy that decides each second by the last few, so that a test sees it decide."""
    return message(
        preset="kubernetes",
        interval=Duration(seconds=1),
        stable_window=Duration(seconds=5),
        scale_down_window=Duration(seconds=5),
        **fields,
    )


def per_replica(requests_per_s: float) -> list[policy_pb2.Target]:
    return [policy_pb2.Target(metric="requests_per_s", value=requests_per_s)]


async def pool_of(client: AsyncClient) -> autoscaler_pb2.Pool:
    (pool,) = await client.list_pools()
    return pool


async def test_a_load_scales_batchers_from_one_to_three_and_its_end_to_one_and_no_prediction_fails(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with (
        in_use(scaled_stack, tmp_path) as scene,
        AsyncClient(scaled_stack.address, token=lambda: scaled_stack.token("operator")) as client,
    ):
        await client.put_policy(prompt(max_replicas=3, targets=per_replica(RATE / 8)))

        async def has(ready: int) -> bool:
            pool = await pool_of(client)
            return pool.replicas.ready == ready and not pool.replicas.loading and not pool.replicas.draining

        await eventually(lambda: has(3), within=150, every=0.5)
        await scene.load.steady()
        await client.put_policy(prompt(max_replicas=3, targets=per_replica(RATE * 2)))
        await eventually(lambda: has(1), within=60, every=0.5)
        await scene.load.steady()
        decisions = await client.list_decisions("default", only_changes=True)
        load = scene.load
    acted = [(one.desired_replicas, one.outcome.state) for one in reversed(decisions) if one.desired_replicas]
    done = [replicas for replicas, state in acted if state == Outcome.STATE_DONE]
    assert (max(done), done[-1]) == (3, 1), acted
    why = " ".join(sentence for one in decisions for sentence in one.sentences)
    assert "requests_per_s of" in why
    assert load.failures() == []
    assert await scene.complaints() == []


async def test_an_autoscaler_that_is_killed_while_it_scales_and_a_control_plane_that_is_cost_nobody_anything(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with (
        in_use(scaled_stack, tmp_path) as scene,
        AsyncClient(scaled_stack.address, token=lambda: scaled_stack.token("operator")) as client,
    ):
        await client.put_policy(prompt(max_replicas=2, targets=per_replica(RATE / 8)))

        async def asked() -> bool:
            return any(one.outcome.state == Outcome.STATE_ASKED for one in await client.list_decisions("default"))

        await eventually(asked, within=60, every=0.05)
        was = parts.kill(scaled_stack, "autoscaler")
        await parts.back(scaled_stack, "autoscaler", was)

        async def has(ready: int) -> bool:
            pool = await pool_of(client)
            return pool.replicas.ready == ready and not pool.replicas.loading and not pool.replicas.draining

        await eventually(lambda: has(2), within=150, every=0.5)
        # While nobody can say what there is, nothing is taken away.
        was = parts.kill(scaled_stack, "router-control")
        await parts.back(scaled_stack, "router-control", was)
        await eventually(lambda: has(2), within=60, every=0.5)
        await client.pause_pool("default", reason="a test")
        await client.put_policy(prompt(max_replicas=2, targets=per_replica(RATE * 2)))

        async def held() -> bool:
            pool = await pool_of(client)
            return pool.desired_replicas == 1 and pool.decision.outcome.state == Outcome.STATE_NOT_ACTED

        await eventually(held, within=60, every=0.5)
        assert (await pool_of(client)).replicas.ready == 2
        await client.resume_pool("default")
        await eventually(lambda: has(1), within=60, every=0.5)
        load = scene.load
    assert load.failures() == []
