"""Containers that are killed, stopped and added while callers predict and people write."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from headrace_servicekit.testing import eventually

from tests.kit.deployment.containers import Installation
from tests.kit.stack.load import Load, describe
from tests.kit.stack.operator import Operator
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import VERSIONS, complaints
from tests.kit.stack.writers import Writers

RATE = 60.0
ANSWERED = "batcher_requests_answered_total"
METRICS = (
    "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8091/metrics', timeout=5).read().decode())"
)
SEARCH = "import sys, urllib.request; urllib.request.urlopen('http://127.0.0.1:8888' + sys.argv[1], timeout=5).read()"


class ContainerWriters(Writers):
    """Writers who look into the S3 of containers from inside, for nobody outside reaches it."""

    installation: Installation

    async def _stored(self, version: str) -> bool:
        path = f"/buckets/headrace/blobs/sha256/{self._digests[version]}"
        try:
            self.installation.run("s3-1", "python", "-c", SEARCH, path)
        except AssertionError:
            return False
        return True


@dataclass(slots=True)
class Scene:
    """What is going on."""

    operator: Operator
    load: Load
    writers: ContainerWriters

    async def well_again(self, *, within: float = 90.0) -> float:
        """Return when predictions and writes both go through again, with the time from when predictions did."""
        answered = await self.load.steady(within=within)
        await self.writers.resumed(within=within)
        return answered

    async def complaints(self, excused: tuple[float, float] | None = None) -> list[str]:
        """Return what callers and writers may complain about, now that nothing is sent any more."""
        return await complaints(self.operator, self.load, self.writers, excused)


@contextlib.asynccontextmanager
async def in_use(installation: Installation, stack: RunningStack, folder: Path) -> AsyncIterator[Scene]:
    """Serve a model, predict and write, until the block ends. The same installation may be used again."""
    async with Operator.of(stack, "survivor", folder) as operator:
        for version, file in VERSIONS.items():
            await operator.register(version, file)
        await operator.promote("v1")
        async with (
            ContainerWriters.writing(stack, folder) as writers,
            Load.running(stack, operator.model, VERSIONS, rate=RATE) as load,
        ):
            writers.installation = installation
            await load.steady()
            yield Scene(operator, load, writers)


def answered(installation: Installation, batchers: Sequence[str]) -> dict[str, float]:
    """Return how many requests each batcher has answered."""
    texts = {name: installation.run(name, "python", "-c", METRICS) for name in batchers}
    return {
        name: sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(ANSWERED))
        for name, text in texts.items()
    }


@pytest.fixture
def three_batchers(installation: Installation) -> tuple[str, ...]:
    installation.up("--scale", "batcher=3", "--no-recreate")
    return ("batcher-1", "batcher-2", "batcher-3")


async def test_batchers_are_added_under_load_without_a_restart_or_a_failed_request(
    installation: Installation, stack: RunningStack, tmp_path: Path
):
    installation.up("--scale", "batcher=1")
    began = {name: told["State"]["StartedAt"] for name, told in installation.containers().items()}
    async with in_use(installation, stack, tmp_path) as scene:
        await asyncio.to_thread(installation.up, "--scale", "batcher=3", "--no-recreate")
        added = ("batcher-2", "batcher-3")
        before = answered(installation, added)

        async def share_the_work() -> bool:
            now = await asyncio.to_thread(answered, installation, added)
            return all(count > before[name] + 20 for name, count in now.items())

        await eventually(share_the_work, within=60, every=1)
        await scene.load.goes_on(2)
        assert not scene.load.failures(), describe(scene.load.failures())
    assert await scene.complaints() == []
    now = {name: told["State"]["StartedAt"] for name, told in installation.containers().items()}
    assert {name: now[name] for name in began if not name.startswith("init")} == {
        name: at for name, at in began.items() if not name.startswith("init")
    }


async def test_a_replica_that_is_stopped_fails_no_accepted_request(
    installation: Installation, stack: RunningStack, tmp_path: Path, three_batchers: tuple[str, ...]
):
    async with in_use(installation, stack, tmp_path) as scene:
        await asyncio.to_thread(installation.stop, "batcher-2")
        await scene.load.goes_on(2)
        await asyncio.to_thread(installation.start, "batcher-2")
        await installation.well("batcher-2")
        await scene.load.goes_on(2)
        assert not scene.load.failures(), describe(scene.load.failures())
    assert await scene.complaints() == []


@pytest.mark.parametrize(
    "killed",
    ["registry-1", "router-control-1", "batcher-1", "batcher-cpu-1", "monitor-1", "postgres-1", "valkey-1", "s3-1"],
)
async def test_a_container_that_is_killed_costs_no_prediction_and_no_acknowledged_write(
    installation: Installation, stack: RunningStack, tmp_path: Path, three_batchers: tuple[str, ...], killed: str
):
    async with in_use(installation, stack, tmp_path) as scene:
        await asyncio.to_thread(installation.kill, killed)
        await scene.load.goes_on(1)
        await asyncio.to_thread(installation.start, killed)
        await installation.well(killed)
        await scene.well_again()
    assert await scene.complaints() == []


async def test_a_front_door_that_is_killed_costs_only_the_callers_of_that_moment(
    installation: Installation, stack: RunningStack, tmp_path: Path
):
    async with in_use(installation, stack, tmp_path) as scene:
        began = time.monotonic()
        await asyncio.to_thread(installation.kill, "front-door-1")
        await asyncio.to_thread(installation.start, "front-door-1")
        await installation.well("front-door-1")
        again = await scene.well_again()
    assert scene.load.failures()
    assert await scene.complaints((began, again)) == []


async def test_a_process_that_ends_by_itself_is_started_again(installation: Installation):
    before = installation.containers()["registry-1"]["State"]["StartedAt"]
    # Not by Docker's own command, which it would take for a wish.
    installation.run("registry-1", "python", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")
    await eventually(
        lambda: installation.containers()["registry-1"]["State"]["StartedAt"] != before, within=60, every=0.5
    )
    await installation.well("registry-1")
