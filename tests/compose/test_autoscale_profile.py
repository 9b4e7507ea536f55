"""The profile `autoscale` of the whole installation: containers start and stop by load, and no prediction fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import policy_pb2
from headrace_client import AsyncClient
from headrace_servicekit.testing import eventually

from tests.compose.test_trouble import in_use
from tests.kit.autoscaler.pools import message
from tests.kit.deployment.containers import Installation
from tests.kit.stack.load import describe
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import RATE

# What is answered from the cache asks for no batcher.
COMPUTED = 0.4 * RATE
SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


@pytest.fixture
def scaling(installation: Installation) -> Iterator[Installation]:
    """The installation with an autoscaler that acts, and two batchers that it may use; as it was afterwards."""
    variables = {**installation.variables, "AUTOSCALER_ACTUATOR": "docker", "DOCKER_SOCKET": SOCKET}
    scaled = replace(installation, variables=variables)
    scaled.compose("--profile", "autoscale", "up", "--wait", "--scale", "batcher=2")
    yield scaled
    scaled.compose("--profile", "autoscale", "rm", "--stop", "--force", "docker-filter")
    installation.up("--scale", "batcher=1")


def policy(requests_per_s: float) -> policy_pb2.ScalingPolicy:
    return message(
        preset="kubernetes",
        interval=Duration(seconds=1),
        stable_window=Duration(seconds=5),
        scale_down_window=Duration(seconds=5),
        max_replicas=2,
        targets=[policy_pb2.Target(metric="requests_per_s", value=requests_per_s)],
    )


async def test_a_load_starts_a_second_container_and_its_end_stops_one_and_no_prediction_fails(
    scaling: Installation, stack: RunningStack, tmp_path: Path
):
    async with (
        in_use(scaling, stack, tmp_path) as scene,
        AsyncClient(stack.address, token=lambda: stack.token("operator")) as client,
    ):

        async def has(ready: int) -> bool:
            (pool,) = await client.pools.list()
            there = pool.replicas
            return there.ready == ready and not there.loading and not there.draining and not pool.problems

        for wanted, target in ((1, RATE * 2), (2, COMPUTED / 1.5), (1, RATE * 2)):
            await client.pools.put_policy(policy(target))
            await eventually(lambda wanted=wanted: has(wanted), within=180, every=0.5)
            names = [name for name, told in scaling.containers().items() if name.startswith("batcher-")]
            running = [name for name in names if scaling.containers()[name]["State"]["Running"]]
            assert len([name for name in running if not name.startswith("batcher-cpu")]) == wanted
            await scene.load.goes_on(5.0)
        await client.pools.delete_policy("default")
        load = scene.load
    assert load.failures() == [], describe(load.failures())
    assert await scene.complaints() == []
