"""The profile `observability`: whom Prometheus reads there, and that it tells when somebody has gone."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace_servicekit.testing import eventually, free_port

from tests.kit.deployment import observability, prometheus, topology
from tests.kit.deployment.containers import Installation, docker

PROFILE = ("--profile", "observability")


@pytest.fixture(scope="module")
def image(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prometheus's image: what Docker pulls, or where nothing can be pulled Debian's program under the same name."""
    told = json.loads(docker("compose", *PROFILE, "config", "--format", "json"))
    name = told["services"]["prometheus"]["image"]
    if not os.environ.get("HEADRACE_OFFLINE") or docker("image", "ls", "--quiet", name):
        yield
        return
    if prometheus.PROGRAM is None:
        pytest.skip("NOT CHECKED: neither an image of Prometheus here nor Debian's program")
    context = tmp_path_factory.mktemp("prometheus")
    shutil.copy(prometheus.PROGRAM, context / "prometheus")
    dockerfile = Path(__file__).with_name("prometheus.Dockerfile")
    docker("build", "--quiet", "--file", str(dockerfile), "--tag", name, str(context), timeout_s=300)
    yield
    docker("image", "rm", name)


@pytest.fixture
def watched(installation: Installation, image: None) -> Iterator[Installation]:
    """The installation with two batchers and Prometheus, on a port of its own."""
    one = dataclasses.replace(installation, variables={"PROMETHEUS_PORT": str(free_port())})
    one.up("--scale", "batcher=2", "--no-recreate")
    one.compose(*PROFILE, "up", "--wait", "--no-recreate", "prometheus")
    try:
        yield one
    finally:
        one.compose(*PROFILE, "rm", "--stop", "--force", "prometheus")


async def test_prometheus_reads_every_replica_and_wakes_somebody_when_a_service_has_gone(watched: Installation):
    async with prometheus.asking(int(watched.variables["PROMETHEUS_PORT"])) as asking:

        async def every_replica_is_read() -> bool:
            one_of_each = {name: ["up"] for name in (*topology.own(), "envoy")}
            assert await asking.up() == {**one_of_each, "batcher": ["up", "up"]}
            return await asking.rules() == dict.fromkeys(observability.rules(), "ok")

        await eventually(every_replica_is_read, within=90, every=1)
        assert "HeadraceServiceAway" not in await asking.alerts()

        # Its name has no address then, so that Prometheus knows of nobody who is down.
        watched.kill("monitor-1")

        async def somebody_is_woken() -> bool:
            alerts = (await asking.alerts()).get("HeadraceServiceAway", [])
            return [alert["job"] for alert in alerts] == ["monitor"]

        try:
            await eventually(somebody_is_woken, within=240, every=2)
        finally:
            watched.start("monitor-1")
        await watched.well("monitor-1")

        async def nobody_is_woken() -> bool:
            return "HeadraceServiceAway" not in await asking.alerts()

        await eventually(nobody_is_woken, within=120, every=2)
