"""Pools that scale themselves while what they depend on dies, hangs and comes back: the scale stays, nobody fails."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import policy_pb2
from headrace.monitor.v1 import alert_pb2
from headrace_client import AsyncClient
from headrace_client.errors import HeadraceError
from headrace_servicekit.testing import eventually
from headrace_stack.replicas import Replicas
from headrace_stack.snapshot import State
from headrace_stack.testing import held_stack

from tests.kit import parts
from tests.kit.scaling import message
from tests.kit.stack import RunningStack
from tests.kit.stores import home_for_tests, worker_name
from tests.kit.trouble import RATE, Scene, in_use

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

AUTOSCALERS = ("autoscaler", "autoscaler-1")
BATCHERS = ("batcher-default", "batcher-default-1")
# A second: what is answered from the cache asks for no batcher.
COMPUTED = 0.4 * RATE


@pytest.fixture(scope="module")
def scaled_stack() -> Iterator[RunningStack]:
    """A stack of one of each, and of two autoscalers."""
    replicas = Replicas(others=(("autoscaler", 2),))
    home = home_for_tests(f"autoscaled-in-trouble-{worker_name()}")
    with held_stack(home, replicas=replicas, ends_unwell=False) as settings:
        yield RunningStack(settings)


def two_replicas() -> policy_pb2.ScalingPolicy:
    """Return a policy that decides each second, and that the load makes want two."""
    return message(
        preset="kubernetes",
        interval=Duration(seconds=1),
        stable_window=Duration(seconds=5),
        scale_down_window=Duration(seconds=5),
        max_signal_age=Duration(seconds=10),
        max_replicas=2,
        targets=[policy_pb2.Target(metric="requests_per_s", value=COMPUTED / 1.5)],
    )


@asynccontextmanager
async def two_ready(stack: RunningStack, folder: Path) -> AsyncIterator[tuple[Scene, AsyncClient]]:
    """Have the load scale the pool to two batchers; at its end nothing scales it any more."""
    async with (
        in_use(stack, folder) as scene,
        AsyncClient(stack.address, token=lambda: stack.token("operator")) as client,
    ):
        await client.put_policy(two_replicas())
        await eventually(lambda: has(client, 2), within=150, every=0.5)
        yield scene, client
        await client.delete_policy("default")


async def has(client: AsyncClient, ready: int) -> bool:
    """Return whether the pool has so many batchers, all ready, by a decision of just now."""
    try:
        (pool,) = await client.list_pools()
    except HeadraceError:
        return False
    there = pool.replicas
    settled = not there.loading and not there.draining and not pool.problems
    return there.ready == ready == pool.desired_replicas and settled


async def signals_alerts(client: AsyncClient) -> list[alert_pb2.Alert]:
    """Return the open alerts that say that nobody knows what is asked of a pool."""
    try:
        found = await client.list_alerts(state=alert_pb2.Alert.STATE_OPEN)
    except HeadraceError:
        return []
    return [one for one in found if one.rule == "autoscaler/signals"]


def assert_kept(stack: RunningStack, scene: Scene, *, restarted: set[str]) -> None:
    """Check that both batchers are the processes that they were, and nothing died that was not killed."""
    assert {stack.status(name).state for name in BATCHERS} == {State.READY}
    assert scene.restarted() - set(BATCHERS[1:]) == restarted
    assert [stack.status(name).restarts for name in BATCHERS] == [0, 0]


async def test_postgresql_and_the_monitor_die_and_the_replicas_stay(scaled_stack: RunningStack, tmp_path: Path):
    async with two_ready(scaled_stack, tmp_path) as (scene, client):
        process = scaled_stack.status(BATCHERS[1]).process
        for killed in ("postgres", "monitor"):
            was = parts.kill(scaled_stack, killed)
            await scene.load.goes_on(3.0)
            await parts.back(scaled_stack, killed, was)
            await scene.well_again()
            await eventually(lambda: has(client, 2), within=60, every=0.5)
        async with parts.gone(scaled_stack, "postgres"):
            await scene.load.goes_on(20.0)  # longer than the lease of the leader
        await scene.well_again(within=120.0)
        await eventually(lambda: has(client, 2), within=60, every=0.5)
        assert scaled_stack.status(BATCHERS[1]).process == process
        assert_kept(scaled_stack, scene, restarted={"postgres", "monitor"})
        decisions = await client.list_decisions("default", only_changes=True)
        load = scene.load
    assert {one.desired_replicas for one in decisions[:-1]} <= {2}, "nothing else was wanted since the first decision"
    assert load.failures() == []
    assert await scene.complaints() == []


async def test_a_leader_that_hangs_is_followed_and_changes_nothing_when_it_comes_back(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with two_ready(scaled_stack, tmp_path) as (scene, client):
        (leader,) = [name for name in AUTOSCALERS if await scales(scaled_stack, name)]
        (other,) = set(AUTOSCALERS) - {leader}
        with parts.frozen(scaled_stack, leader):

            async def led_by_the_other() -> bool:
                return await scales(scaled_stack, other)

            await eventually(led_by_the_other, within=60, every=0.5)
            # The one that hangs has decided on two; from now on one is enough.
            policy = two_replicas()
            policy.targets[0].value = RATE * 2
            await eventually(lambda: put(client, policy), within=60, every=0.5)
            await eventually(lambda: has(client, 1), within=60, every=0.5)

        async def over() -> bool:
            return not await scales(scaled_stack, leader)

        await eventually(over, within=60, every=0.2)
        for _ in range(20):
            await scene.load.goes_on(0.5)
            assert await has(client, 1)
        assert await scales(scaled_stack, other)
        numbers = [int(one.name.rpartition("/")[2]) for one in await client.list_decisions("default")]
        assert numbers == sorted(numbers, reverse=True)
        load = scene.load
    assert load.failures() == []
    assert await scene.complaints() == []


async def test_metrics_that_are_gone_for_a_minute_take_nobody_away_and_raise_an_alert_that_ends(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with two_ready(scaled_stack, tmp_path) as (scene, client):

        async def told() -> Any:
            return await signals_alerts(client)

        with parts.frozen(scaled_stack, "router-control"):
            (alert,) = await eventually(told, within=75, every=0.5)
            assert alert.subject == "pools/default"
            assert "not scaled" in alert.summary
            await scene.load.goes_on(30.0)
        await scene.well_again()
        await eventually(lambda: has(client, 2), within=60, every=0.5)
        assert_kept(scaled_stack, scene, restarted=set())

        async def over() -> bool:
            return not await signals_alerts(client)

        await eventually(over, within=120, every=1.0)
        decisions = await client.list_decisions("default", only_changes=True)
        load = scene.load
    assert {one.desired_replicas for one in decisions[:-1]} <= {2}
    assert load.failures() == []
    assert await scene.complaints() == []


async def put(client: AsyncClient, policy: policy_pb2.ScalingPolicy) -> bool:
    """Put a policy; return whether somebody took it: of two autoscalers, one may hang."""
    try:
        await client.put_policy(policy)
    except HeadraceError:
        return False
    return True


async def scales(stack: RunningStack, autoscaler: str) -> bool:
    """Return whether an autoscaler says that it scales a pool."""
    port = stack.status(autoscaler).ports[1]
    try:
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics", timeout=2)).text
    except httpx.HTTPError:
        return False
    found = re.search(r"^autoscaler_pools (\S+)$", text, re.MULTILINE)
    return found is not None and float(found[1]) > 0
