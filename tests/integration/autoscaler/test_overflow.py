"""A pool that is full has replicas ready in another one for as long as it needs them there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import policy_pb2
from headrace_autoscaler.acting.watched import shown
from headrace_autoscaler.decisions.members import Condition, Fleet, Member
from headrace_autoscaler.storage.values import Outcome
from headrace_scaling.decisions.decision import Decision
from headrace_scaling.documents import from_json

from tests.kit.autoscaler.pools import FakeActuator, FixedFleet, ScaledPools, batcher, policy, scaled_pools

READY = Condition.READY
# Each look alone, so that a test needs no minute of samples.
QUICK = {
    "preset": "kubernetes",
    "stable_window": Duration(),
    "scale_down_window": Duration(),
    "max_signal_age": Duration(seconds=30),
}
TO_CPU = policy_pb2.Overflow(pool="cpu", per_replica=20.0, max_replicas=8, hold=Duration())


async def put(scene: ScaledPools, pool: str, **fields: Any) -> None:
    await scene.pools.put_policy(pool, policy(pool=pool, **{**QUICK, **fields}).document(), "ada", "")


@pytest.fixture
async def scene(postgres_url: str) -> AsyncIterator[ScaledPools]:
    """Lend two pools that may have two replicas, both of which overflow to the pool 'cpu'."""
    actuator = FakeActuator(gpu=2, tpu=2, cpu=1)
    async with scaled_pools(postgres_url, FixedFleet(), actuator) as scene:
        for pool in ("gpu", "tpu"):
            await put(scene, pool, max_replicas=2, overflow=TO_CPU)
        await put(scene, "cpu", max_replicas=20)
        yield scene


async def settle(scene: ScaledPools, **per_s: float) -> None:
    """Let pools be asked for so many requests per second for a while; all that the actuator keeps is ready."""
    for _ in range(4):
        before, read_s = scene.fleet.fleet, scene.fleet.fleet.read_s + 2.0
        pools: dict[str, tuple[Member, ...]] = {}
        for pool in ("gpu", "tpu", "cpu"):
            works = [held.work for member in before.of(pool) for held in member.versions.values()]
            answered = sum(work.answered for work in works if work is not None) + round(2.0 * per_s.get(pool, 0.0))
            pools[pool] = tuple(
                batcher(f"{pool}-{at}", READY, at_s=read_s, answered=answered if at == 0 else 0)
                for at in range(scene.actuator.kept[pool])
            )
        scene.fleet.fleet = Fleet(read_s, pools)
        await scene.round()


async def test_what_a_full_pool_cannot_serve_is_ready_in_the_other_and_goes_when_it_is_over(scene: ScaledPools):
    await settle(scene, gpu=150)
    assert scene.actuator.kept == {"gpu": 2, "tpu": 1, "cpu": 1}
    await settle(scene, gpu=260)
    overflow = from_json(Decision, (await scene.latest("gpu")).decision).overflow
    assert overflow is not None
    assert (overflow.pool, overflow.replicas) == ("cpu", 3)
    assert scene.actuator.kept["cpu"] == 3
    assert scene.actuator.kept["gpu"] == 2
    await settle(scene, gpu=150)
    assert scene.actuator.kept["cpu"] == 1


async def test_whoever_acts_by_what_is_wanted_sees_what_overflow_needs(scene: ScaledPools):
    await settle(scene, gpu=260)
    latest = await scene.latest("cpu")
    assert from_json(Decision, latest.decision).desired == 1
    assert latest.desired == 3
    assert {one.pool: one.desired for one in shown(scene.leader.pools)} == {"gpu": 2, "tpu": 1, "cpu": 3}


async def test_the_outcome_of_a_decision_says_for_whom_it_was_when_it_is_done(scene: ScaledPools):
    await settle(scene, gpu=260)
    await settle(scene, gpu=260)
    (row, *_) = await scene.decisions.decisions("cpu", before=None, only_changes=True, start=None, end=None, limit=1)
    assert (row.outcome, row.detail) == (Outcome.DONE, "3 were seen ready, 2 of them for other pools.")


async def test_a_schedule_bounds_what_overflow_may_have(scene: ScaledPools):
    always = policy_pb2.Schedule(name="always", start="00:00", end="24:00", max_replicas=2)
    await put(scene, "cpu", max_replicas=20, schedules=[always])
    await settle(scene, gpu=260)
    assert scene.actuator.kept["cpu"] == 2


async def test_the_overflows_of_two_pools_add_up_to_what_the_other_may_have(scene: ScaledPools):
    await settle(scene, gpu=260, tpu=240)
    assert scene.actuator.kept["cpu"] == 5
    await put(scene, "cpu", max_replicas=4)
    await settle(scene, gpu=260, tpu=240)
    assert scene.actuator.kept["cpu"] == 4


async def test_another_policy_of_the_other_pool_takes_none_of_it_away(scene: ScaledPools):
    await settle(scene, gpu=260)
    scene.actuator.asked.clear()
    await put(scene, "cpu", max_replicas=19)
    await settle(scene, gpu=260)
    assert scene.actuator.asked == []
    assert scene.actuator.kept["cpu"] == 3


async def test_a_new_leader_keeps_what_overflow_needs(scene: ScaledPools, postgres_url: str):
    await settle(scene, gpu=260)
    await scene.lease.release()
    scene.actuator.asked.clear()
    async with scaled_pools(postgres_url, scene.fleet, scene.actuator) as after:
        await settle(after, gpu=260)
        assert scene.actuator.asked == []
        assert scene.actuator.kept["cpu"] == 3


@pytest.mark.parametrize("end", ["no overflow any more", "no policy any more"])
async def test_a_pool_that_overflows_no_more_needs_nothing_in_the_other(scene: ScaledPools, end: str):
    await settle(scene, gpu=260)
    assert scene.actuator.kept["cpu"] == 3
    if end == "no overflow any more":
        await put(scene, "gpu", max_replicas=2)
    else:
        await scene.pools.delete_policy("gpu", "")
    await settle(scene, gpu=260)
    assert scene.actuator.kept["cpu"] == 1
