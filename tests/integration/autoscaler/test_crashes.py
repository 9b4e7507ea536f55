"""An autoscaler that is stopped at every call that it makes: killed there, or paused beside another one that leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from headrace_autoscaler.decisions import actuation
from headrace_autoscaler.decisions.actuation import Stage
from headrace_autoscaler.decisions.members import Condition, Fleet
from headrace_autoscaler.storage.database import Database
from headrace_autoscaler.storage.values import Outcome
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Address

from tests.kit.autoscaler.pools import FakeActuator, FixedFleet, ScaledPools, batcher, policy, scaled_pools
from tests.kit.rollout.checkpoints import Checkpoints, KilledError

QUICK: dict[str, Any] = {
    "preset": "kubernetes",
    "stable_window": Duration(),
    "scale_down_window": Duration(),
    "max_signal_age": Duration(seconds=30),
}
# A load of three replicas, then one of one.
BUSY, CALM = 280, 20
EVERY_S = 4.0
# More calls than any run makes, and more rounds than one takes.
MOST, ROUNDS = 400, 40


class Stopped:
    """What is done at one of the calls: kill, pause, or fail. killed: the process is gone. paused: it stands still
    until `go_on`. failed: what it called did not answer.
    """

    def __init__(self, at: int, does: str) -> None:
        self.points = Checkpoints(at, {"kill": self._kill, "pause": self._pause, "fail": self._fail}[does])
        self.killed = self.failed = False
        self.paused, self.go_on = asyncio.Event(), asyncio.Event()

    async def _fail(self) -> None:
        self.failed = True
        raise Unavailable("it does not answer")

    async def _kill(self) -> None:
        self.killed = True
        raise KilledError

    async def _pause(self) -> None:
        self.paused.set()
        await self.go_on.wait()


class World:
    """A pool whose replicas are all ready as soon as the actuator keeps them."""

    def __init__(self, url: str) -> None:
        self.url, self.fleet, self.actuator = url, FixedFleet(), FakeActuator(default=1)
        self._loads = [(BUSY, 3), (CALM, 1)]

    @asynccontextmanager
    async def led(self, points: Checkpoints | None = None) -> AsyncIterator[ScaledPools]:
        """Lend a leader, whoever led before."""
        async with Database(Address(self.url), size=1) as database:
            await database.migrate()
            async with database.transaction() as connection:
                await connection.execute("update leader_leases set until_time = now() - interval '1 s'")
        async with scaled_pools(self.url, self.fleet, self.actuator, points=points) as scene:
            yield scene

    async def round(self, scene: ScaledPools, per_s: float) -> None:
        """Let the pool be asked for so much, and be looked at."""
        # So late that rates are of this time alone.
        before, read_s = self.fleet.fleet, self.fleet.fleet.read_s + EVERY_S
        works = [held.work for member in before.of("default") for held in member.versions.values()]
        answered = max((work.answered for work in works if work is not None), default=0) + round(EVERY_S * per_s)
        members = (
            batcher(f"b{at}", Condition.READY, at_s=read_s, answered=answered if at == 0 else 0)
            for at in range(self.actuator.kept["default"])
        )
        self.fleet.fleet = Fleet(read_s, {"default": tuple(members)})
        await scene.round()

    async def driven(self, scene: ScaledPools, stopped: Stopped | None = None) -> bool:
        """Have the load come and go, each until the pool has what it needs, from where the last leader was; return
        whether that came to its end.
        """
        while self._loads:
            per_s, wanted = self._loads[0]
            for _ in range(ROUNDS):
                try:
                    await self.round(scene, per_s)
                except KilledError:
                    return False
                except Unavailable:  # it gives the lease up, and begins anew
                    await scene.lease.release()
                    assert await scene.lease.acquire()
                if stopped is not None and stopped.paused.is_set():
                    await stopped.go_on.wait()
                    return False
                if stopped is not None and stopped.killed:
                    return False
                if self.actuator.kept["default"] == wanted and await is_settled(scene):
                    self._loads.pop(0)
                    break
            else:
                raise AssertionError(f"{ROUNDS} rounds do not lead to {wanted}")
        return True


async def is_settled(scene: ScaledPools) -> bool:
    """Return whether nobody waits for an actuator."""
    row = await scene.pools.pool("default")
    return row.acting is not None and (await scene.acting()).stage in (Stage.DONE, Stage.IDLE)


async def begun(world: World) -> None:
    """Give the pool its policy, as if it had none before."""
    async with Database(Address(world.url), size=2) as database:
        await database.migrate()
        async with database.transaction() as connection:
            await connection.execute("delete from decisions; delete from pools")
    async with world.led() as scene:
        await scene.pools.put_policy("default", policy(**QUICK).document(), "ada", "")
        await scene.lease.release()


@pytest.mark.long
async def test_a_database_or_an_actuator_that_does_not_answer_at_any_call_changes_nothing(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(actuation, "FIRST_PAUSE_S", 0.0)
    for at in range(MOST):
        world, stopped = World(postgres_url), Stopped(at, "fail")
        await begun(world)
        async with world.led(stopped.points) as scene:
            assert await world.driven(scene, stopped), f"failed at call {at}"
            if not stopped.failed:
                return
            targets = [replicas for _, replicas in world.actuator.asked]
            assert targets == sorted(targets, reverse=True), f"failed at call {at}: {targets}"
            assert set(targets) == {3, 1}, f"failed at call {at}: {targets}"
    raise AssertionError("there is no end of calls")


@pytest.mark.faults
async def test_killed_at_every_call_the_next_leader_comes_to_the_same_scale(postgres_url: str):
    for at in range(MOST):
        world, stopped = World(postgres_url), Stopped(at, "kill")
        await begun(world)
        async with world.led(stopped.points) as scene:
            ended = await world.driven(scene, stopped)
        if ended:
            return
        async with world.led() as after:
            assert await world.driven(after), f"killed at call {at}"
            assert world.actuator.kept == {"default": 1}, f"killed at call {at}"
            targets = [replicas for _, replicas in world.actuator.asked]
            assert targets == sorted(targets, reverse=True), f"killed at call {at}: {targets}"
            assert set(targets) == {3, 1}, f"killed at call {at}: {targets}"
            under_way = {Outcome.ASKED, Outcome.ACKNOWLEDGED} & {outcome for _, outcome in await after.acted()}
            assert not under_way, f"killed at call {at}"
    raise AssertionError("there is no end of calls")


@pytest.mark.long
async def test_a_leader_that_was_paused_at_any_call_decides_nothing_when_it_comes_back(postgres_url: str):
    for at in range(MOST):
        world, stopped = World(postgres_url), Stopped(at, "pause")
        await begun(world)
        async with world.led(stopped.points) as scene:
            first = asyncio.create_task(world.driven(scene, stopped))
            waiting = asyncio.create_task(stopped.paused.wait())
            await asyncio.wait({first, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if first.done():
                assert first.result()
                return
            async with world.led() as second:
                assert await world.driven(second), f"paused at call {at}"
                before, asked = await second.latest(), len(world.actuator.asked)
                stopped.go_on.set()
                assert not await first
                await world.round(scene, BUSY)
                assert scene.lease.fence is None, f"paused at call {at}"
                assert await second.latest() == before, f"paused at call {at}"
                # What was on its way to the actuator may arrive late: it is seen, and put right.
                assert len(world.actuator.asked) <= asked + 1, f"paused at call {at}"
                for _ in range(3):
                    await world.round(second, CALM)
                assert world.actuator.kept == {"default": 1}, f"paused at call {at}"
    raise AssertionError("there is no end of calls")


async def test_what_a_leader_that_died_had_asked_for_is_over_once_it_is_wanted_no_more(postgres_url: str):
    world = World(postgres_url)
    await begun(world)
    async with world.led() as scene:
        await driven_to(world, scene, BUSY, 3)
        world.actuator.lies = True  # it dies before the actuator hears of it
        for _ in range(4):
            await world.round(scene, CALM)
            if (await scene.acting()).stage is Stage.ASKED:
                break
        assert (await scene.acting()).target == 1
    world.actuator.lies = False
    asked = len(world.actuator.asked)
    async with world.led() as after:
        for _ in range(4):
            await world.round(after, BUSY)  # the load is back before anything was taken away
        assert len(world.actuator.asked) == asked
        assert (await after.acting()).stage is Stage.IDLE
        assert (await after.pools.pool("default")).problems == ()
        outcomes = [outcome for _, outcome in await after.acted()]
        assert Outcome.ASKED not in outcomes
        assert Outcome.SUPERSEDED in outcomes


async def driven_to(world: World, scene: ScaledPools, per_s: float, replicas: int) -> None:
    """Let the load hold until the pool has so many replicas, and that is seen."""
    for _ in range(ROUNDS):
        await world.round(scene, per_s)
        if world.actuator.kept["default"] == replicas and await is_settled(scene):
            return
    raise AssertionError(f"{ROUNDS} rounds do not lead to {replicas}")
