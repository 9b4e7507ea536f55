"""Pools that scale themselves while what they depend on dies, hangs and comes back: the scale stays, nobody fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import policy_pb2
from headrace.monitor.v1 import alert_pb2
from headrace_client import AsyncClient
from headrace_client.errors import HeadraceError
from headrace_servicekit.testing import eventually
from headrace_stack.control import ask
from headrace_stack.process import is_alive
from headrace_stack.replicas import MOST
from headrace_stack.snapshot import State
from headrace_stack.testing import held_stack

from tests.kit.autoscaler.pools import message
from tests.kit.stack import processes
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import RATE, Scene, in_use
from tests.kit.stores.servers import home_for_tests, worker_name

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

AUTOSCALERS = ("autoscaler", "autoscaler-1")
BATCHERS = ("batcher-default", "batcher-default-1")
# A second: what is answered from the cache asks for no batcher.
COMPUTED = 0.4 * RATE


@pytest.fixture(scope="module")
def scaled_stack() -> Iterator[RunningStack]:
    """A stack of one of each, and of two autoscalers."""
    home = home_for_tests(f"autoscaled-in-trouble-{worker_name()}")
    with held_stack(home, ends_unwell=False) as settings:
        another = {"do": "scale", "component": AUTOSCALERS[0], "replicas": 2}
        assert asyncio.run(ask(settings.control_socket, another, 120))["started"] == [AUTOSCALERS[1]]
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
        await client.pools.put_policy(two_replicas())
        await eventually(lambda: has(client, 2), within=150, every=0.5)
        yield scene, client
        await client.pools.delete_policy("default")


async def has(client: AsyncClient, ready: int) -> bool:
    """Return whether the pool has so many batchers, all ready, by a decision of just now."""
    try:
        (pool,) = await client.pools.list()
    except HeadraceError:
        return False
    there = pool.replicas
    settled = not there.loading and not there.draining and not pool.problems
    return there.ready == ready == pool.desired_replicas and settled


async def alerts(client: AsyncClient, rule: str) -> list[alert_pb2.Alert]:
    """Return the open alerts of a rule; none while nobody says."""
    try:
        found = await client.alerts.list(state=alert_pb2.Alert.STATE_OPEN)
    except HeadraceError:
        return []
    return [one for one in found if one.rule == rule]


async def told_of(client: AsyncClient, rule: str, *, within: float = 90.0) -> alert_pb2.Alert:
    """Wait for an alert on the pool."""

    async def told() -> list[alert_pb2.Alert]:
        return await alerts(client, rule)

    (alert,) = await eventually(told, within=within, every=0.5)
    assert alert.subject == "pools/default"
    return alert


async def over(client: AsyncClient, rule: str) -> None:
    """Wait until there is no alert of a rule any more."""

    async def none() -> bool:
        return not await alerts(client, rule)

    await eventually(none, within=120, every=1.0)


def assert_kept(stack: RunningStack, scene: Scene, *, restarted: set[str]) -> None:
    """Check that both batchers are the processes that they were, and nothing died that was not killed."""
    assert {stack.status(name).state for name in BATCHERS} == {State.READY}
    assert scene.restarted() - set(BATCHERS[1:]) == restarted
    assert [stack.status(name).restarts for name in BATCHERS] == [0, 0]


async def test_postgresql_and_the_monitor_die_and_the_replicas_stay(scaled_stack: RunningStack, tmp_path: Path):
    async with two_ready(scaled_stack, tmp_path) as (scene, client):
        began, process = datetime.now(UTC), scaled_stack.status(BATCHERS[1]).process
        for killed in ("postgres", "monitor"):
            was = processes.kill(scaled_stack, killed)
            await scene.load.goes_on(3.0)
            await processes.back(scaled_stack, killed, was)
            await scene.well_again()
            await eventually(lambda: has(client, 2), within=60, every=0.5)
        async with processes.gone(scaled_stack, "postgres"):
            await scene.load.goes_on(20.0)  # longer than the lease of the leader
        await scene.well_again(within=120.0)
        await eventually(lambda: has(client, 2), within=60, every=0.5)
        assert scaled_stack.status(BATCHERS[1]).process == process
        assert_kept(scaled_stack, scene, restarted={"postgres", "monitor"})
        decisions = await client.pools.list_decisions("default", only_changes=True, since=began)
        load = scene.load
    assert {one.desired_replicas for one in decisions} <= {2}, "nothing else was wanted meanwhile"
    assert load.failures() == []
    assert await scene.complaints() == []


async def test_a_leader_that_hangs_is_followed_and_changes_nothing_when_it_comes_back(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with two_ready(scaled_stack, tmp_path) as (scene, client):
        (leader,) = [name for name in AUTOSCALERS if await scales(scaled_stack, name)]
        (other,) = set(AUTOSCALERS) - {leader}
        with processes.frozen(scaled_stack, leader):

            async def led_by_the_other() -> bool:
                return await scales(scaled_stack, other)

            await eventually(led_by_the_other, within=60, every=0.5)
            # The one that hangs has decided on two; from now on one is enough.
            policy = two_replicas()
            policy.targets[0].value = RATE * 2
            await eventually(lambda: put(client, policy), within=60, every=0.5)
            await eventually(lambda: has(client, 1), within=60, every=0.5)

        async def leads_no_more() -> bool:
            return not await scales(scaled_stack, leader)

        await eventually(leads_no_more, within=60, every=0.2)
        for _ in range(20):
            await scene.load.goes_on(0.5)
            assert await has(client, 1)
        assert await scales(scaled_stack, other)
        numbers = [int(one.name.rpartition("/")[2]) for one in await client.pools.list_decisions("default")]
        assert numbers == sorted(numbers, reverse=True)
        load = scene.load
    assert load.failures() == []
    assert await scene.complaints() == []


async def test_metrics_that_are_gone_for_a_minute_take_nobody_away_and_raise_an_alert_that_ends(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with two_ready(scaled_stack, tmp_path) as (scene, client):
        began = datetime.now(UTC)
        with processes.frozen(scaled_stack, "router-control"):
            assert "not scaled" in (await told_of(client, "autoscaler/signals")).summary
            await scene.load.goes_on(30.0)
        await scene.well_again()
        await eventually(lambda: has(client, 2), within=60, every=0.5)
        assert_kept(scaled_stack, scene, restarted=set())
        await over(client, "autoscaler/signals")
        decisions = await client.pools.list_decisions("default", only_changes=True, since=began)
        load = scene.load
    assert {one.desired_replicas for one in decisions} <= {2}
    assert load.failures() == []
    assert await scene.complaints() == []


async def test_a_batcher_that_never_becomes_ready_is_told_of_and_tried_again_until_it_does(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with two_ready(scaled_stack, tmp_path) as (scene, client):
        one, two = two_replicas(), two_replicas()
        one.targets[0].value = RATE * 2
        await client.pools.put_policy(one)
        await eventually(lambda: has(client, 1), within=60, every=0.5)
        async with never_ready(scaled_stack, BATCHERS[1]):
            await client.pools.put_policy(two)
            assert "not started" in (await told_of(client, "autoscaler/actuator", within=150)).summary
            (pool,) = await client.pools.list()
            assert (pool.replicas.ready, pool.desired_replicas) == (1, 2), "what is not ready is not counted"
        await eventually(lambda: has(client, 2), within=180, every=0.5)
        await over(client, "autoscaler/actuator")
        load = scene.load
    assert load.failures() == []
    assert await scene.complaints() == []


async def test_a_supervisor_that_refuses_or_hangs_is_told_of_and_costs_nobody_anything(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with two_ready(scaled_stack, tmp_path) as (scene, client):
        many = two_replicas()
        many.min_replicas = many.max_replicas = MOST + 1
        await client.pools.put_policy(many)
        alert = await told_of(client, "autoscaler/actuator")
        assert f"must lie in 0..{MOST}" in alert.summary
        await client.pools.put_policy(two_replicas())
        await over(client, "autoscaler/actuator")  # although nothing is scaled
        assert await has(client, 2)

        fewer = two_replicas()
        fewer.targets[0].value = RATE * 2
        supervisor = psutil.Process(scaled_stack.seen().supervisor.pid)
        supervisor.suspend()
        try:
            await client.pools.put_policy(fewer)
            assert "did not answer" in (await told_of(client, "autoscaler/actuator")).summary
            await scene.load.goes_on(5.0)
        finally:
            supervisor.resume()
        await eventually(lambda: has(client, 1), within=90, every=0.5)
        await over(client, "autoscaler/actuator")
        load = scene.load
    assert load.failures() == []
    assert await scene.complaints() == []


@asynccontextmanager
async def never_ready(stack: RunningStack, component: str) -> AsyncIterator[None]:
    """Kill a component whenever it is started, until the block ends."""

    async def keep_away() -> None:
        while True:
            running = [one.process for one in stack.seen().components if one.name == component]
            for process in running:
                if process is not None and is_alive(process):
                    with suppress(psutil.NoSuchProcess):
                        psutil.Process(process.pid).kill()
            await asyncio.sleep(0.05)

    keeping = asyncio.create_task(keep_away(), name=f"keep {component} away")
    try:
        yield
        assert not keeping.done(), keeping
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


async def put(client: AsyncClient, policy: policy_pb2.ScalingPolicy) -> bool:
    """Put a policy; return whether somebody took it: of two autoscalers, one may hang."""
    try:
        await client.pools.put_policy(policy)
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
