"""A stack that is scaled while it is in use: new replicas take part, those that go cost nobody anything."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from headrace_servicekit.testing import eventually
from headrace_stack.control import ControlError, ask
from headrace_stack.ports import BLOCK
from headrace_stack.settings import STATE_DIRECTORY_SETTING
from headrace_stack.snapshot import State
from headrace_stack.testing import held_stack

from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import in_use
from tests.kit.stores.servers import home_for_tests, worker_name

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def scaled_stack() -> Iterator[RunningStack]:
    """A stack of one of each, which these tests scale and leave as it was."""
    with held_stack(home_for_tests(f"scaled-{worker_name()}")) as settings:
        yield RunningStack(settings)


async def scale(stack: RunningStack, component: str, replicas: int, **more: Any) -> dict[str, Any]:
    request = {"do": "scale", "component": component, "replicas": replicas, **more}
    return await ask(stack.settings.control_socket, request, 200)


async def command(stack: RunningStack, *words: str) -> tuple[int | None, str]:
    """Run a command of the stack on the one that runs; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "headrace_stack", *words),
        env={**os.environ, STATE_DIRECTORY_SETTING: str(stack.settings.home), "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode, output.decode()


async def answered_by(stack: RunningStack, component: str) -> float:
    """Return how many requests a batcher has answered."""
    return await metric(stack, component, 1, r"^batcher_requests_answered_total(?:\{[^}]*\})? (\S+)$")


async def connected(stack: RunningStack, pool: str) -> float:
    """Return how many batchers of a pool the data plane has a stream to."""
    pattern = rf'^headrace_router_batchers_connected{{pool="{pool}"}} (\S+)$'
    return await metric(stack, stack.data_plane, -1, pattern)


async def metric(stack: RunningStack, component: str, place: int, pattern: str) -> float:
    port = stack.settings.ports.router_data_metrics.number if place < 0 else stack.status(component).ports[place]
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics", timeout=10)).text
    return sum(float(value) for value in re.findall(pattern, text, re.MULTILINE))


async def test_batchers_come_and_go_under_load_and_no_prediction_fails(scaled_stack: RunningStack, tmp_path: Path):
    async with in_use(scaled_stack, tmp_path) as scene:
        change = await scale(scaled_stack, "batcher-default", 3)
        assert change["started"] == ["batcher-default-1", "batcher-default-2"]
        base = scaled_stack.settings.ports.base
        assert not set(scaled_stack.status("batcher-default-2").ports) & set(range(base, base + BLOCK))
        for name in change["started"]:
            assert scaled_stack.status(name).state is State.READY

            async def takes_part(name: str = name) -> bool:
                return await answered_by(scaled_stack, name) > 20

            await eventually(takes_part, within=60)
        assert (await scale(scaled_stack, "batcher-default", 3))["started"] == []
        # Who is named leaves first, whoever is newer.
        cheapest = f"127.0.0.1:{scaled_stack.status('batcher-default-1').ports[0]}"
        change = await scale(scaled_stack, "batcher-default", 2, first=["127.0.0.1:1", cheapest])
        assert change["stopped"] == ["batcher-default-1"]
        await scene.load.steady()
        change = await scale(scaled_stack, "batcher-default", 1)
        assert change["stopped"] == ["batcher-default-2"]
        await scene.load.steady()
        assert scene.restarted() == set()
        load = scene.load
    assert len(load.exchanges) > 300
    assert load.failures() == []
    assert await scene.complaints() == []


async def test_callers_inside_use_a_registry_that_comes_and_miss_none_that_goes(
    scaled_stack: RunningStack, tmp_path: Path
):
    holds = r'^rpc_server_call_duration_seconds_count\{.*grpc_status_code="OK".*/HoldVersion".*\} (\S+)$'
    async with in_use(scaled_stack, tmp_path) as scene:
        split = scene.operator.split
        assert (await scale(scaled_stack, "registry", 2))["started"] == ["registry-1"]

        async def asked_by_the_control_plane() -> bool:
            await split((("v1", 1.0), ("v2", 1.0)))  # each time another version is named, and held while it is
            await split((("v1", 1.0), ("v3", 1.0)))
            return await metric(scaled_stack, "registry-1", 1, holds) > 0

        await eventually(asked_by_the_control_plane, within=60)
        assert (await scale(scaled_stack, "registry", 1))["stopped"] == ["registry-1"]
        for _ in range(5):
            await split((("v1", 1.0), ("v2", 1.0)))
            await split((("v1", 1.0), ("v3", 1.0)))
        await scene.load.steady()
        assert scene.restarted() == set()
        load = scene.load
    assert load.failures() == []
    assert scene.writers.refused() == []
    assert await scene.complaints() == []


@pytest.mark.long
async def test_services_and_front_doors_are_scaled_while_people_predict_and_write(
    scaled_stack: RunningStack, tmp_path: Path
):
    async with in_use(scaled_stack, tmp_path) as scene:
        services = ("registry", "router-control", "monitor", scaled_stack.data_plane)
        for service in services:
            assert (await scale(scaled_stack, service, 2))["started"] == [f"{service}-1"]
            await scene.load.steady()
            await scene.writers.resumed(within=60)
        for service in services:
            assert (await scale(scaled_stack, service, 1))["stopped"] == [f"{service}-1"]
            await scene.load.steady()
            await scene.writers.resumed(within=60)
        assert scene.restarted() == set()
        load = scene.load
    assert load.failures() == []
    assert await scene.complaints() == []


async def test_a_pool_is_added_emptied_and_removed_while_the_stack_runs(scaled_stack: RunningStack):
    socket = scaled_stack.settings.control_socket
    added = await ask(socket, {"do": "add", "component": "batcher-edge", "backend": "onnxruntime"}, 200)
    assert added["started"] == ["batcher-edge"]

    async def has(batchers: int) -> bool:
        return await connected(scaled_stack, "edge") == batchers

    await eventually(lambda: has(1), within=20)
    with pytest.raises(ControlError, match="to_zero"):
        await scale(scaled_stack, "batcher-edge", 0)
    await scale(scaled_stack, "batcher-edge", 0, to_zero=True)
    await eventually(lambda: has(0), within=20)
    # As people do, who are told what goes on.
    code, said = await command(scaled_stack, "scale", "batcher-edge", "1")
    assert code == 0, said
    assert re.search(r"batcher-edge starting\n.*batcher-edge ready\nbatcher-edge: 0 -> 1\n  started batcher-edge", said)
    code, said = await command(scaled_stack, "scale", "batcher-edge", "1")
    assert (code, said) == (0, "batcher-edge has 1 already: nothing was changed\n")
    code, said = await command(scaled_stack, "scale", "batcher-egde", "1")
    assert (code, "known: " in said, "batcher-edge" in said) == (1, True, True), said
    removed = await ask(socket, {"do": "remove", "component": "batcher-edge"}, 200)
    assert removed["stopped"] == ["batcher-edge"]
    with pytest.raises(ControlError, match="there is no component"):
        await scale(scaled_stack, "batcher-edge", 1)
