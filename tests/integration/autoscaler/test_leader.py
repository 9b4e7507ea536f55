"""The leader's rounds on a real database: what is decided is kept, acted on, and judged by what is seen."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from headrace_autoscaler.actuators.actuator import ActuatorError
from headrace_autoscaler.decisions.actuation import Stage
from headrace_autoscaler.decisions.members import Condition, Fleet
from headrace_autoscaler.storage.values import Outcome
from headrace_scaling.decisions.decision import Decision
from headrace_scaling.documents import from_json
from headrace_servicekit.testing import eventually

from tests.kit.autoscaler.pools import FakeActuator, FixedFleet, ScaledPools, batcher, policy, scaled_pools
from tests.kit.stores.coordination import ShiftedClock

READY, LOADING = Condition.READY, Condition.LOADING
# Each look alone, so that a test needs no minute of samples; a second for a replica to be ready.
QUICK = {
    "preset": "kubernetes",
    "stable_window": Duration(),
    "scale_down_window": Duration(),
    "max_signal_age": Duration(seconds=30),
    "ready_deadline": Duration(seconds=1),
}


@pytest.fixture
async def scene(postgres_url: str) -> AsyncIterator[ScaledPools]:
    async with scaled_pools(postgres_url, FixedFleet(), FakeActuator(default=1)) as scene:
        await scene.pools.put_policy("default", policy(**QUICK).document(), "ada", "")
        yield scene


def load(scene: ScaledPools, per_s: float, *conditions: Condition) -> None:
    """Let the pool have such batchers, and be asked for so many requests per second since the last look."""
    read_s = scene.fleet.fleet.read_s + 2.0
    before = {member.process: member for member in scene.fleet.fleet.of("default")}
    members = []
    for at, condition in enumerate(conditions):
        known = before.get(f"b{at}")
        answered = next(iter(known.versions.values())).work.answered if known else 0  # type: ignore[union-attr]
        share = round(2.0 * per_s) if at == 0 else 0
        members.append(batcher(f"b{at}", condition, at_s=read_s, answered=answered + share))
    scene.fleet.fleet = Fleet(read_s, {"default": tuple(members)})


async def settle(scene: ScaledPools, per_s: float, *conditions: Condition) -> None:
    """Let the load hold for a while."""
    for _ in range(4):
        load(scene, per_s, *conditions)
        await scene.round()


async def test_a_load_that_needs_three_replicas_gets_them_and_is_done_when_they_were_seen(scene: ScaledPools):
    await settle(scene, 90, READY)
    assert scene.actuator.asked == []
    await settle(scene, 280, READY)
    assert scene.actuator.asked[-1] == ("default", 3)
    assert (await scene.acting()).stage is Stage.ACKNOWLEDGED
    scene.actuator.asked.clear()
    await settle(scene, 280, READY, LOADING, LOADING)
    assert scene.actuator.asked == []
    await settle(scene, 280, READY, READY, READY)
    assert (await scene.acting()).stage is Stage.DONE
    await settle(scene, 20, READY, READY, READY)
    assert scene.actuator.asked[-1] == ("default", 1)
    done = [outcome for _, outcome in await scene.acted() if outcome is Outcome.DONE]
    assert done


async def test_every_decision_is_a_row_with_what_it_was_made_from(scene: ScaledPools):
    await settle(scene, 280, READY)
    (row, *_) = [row for row in await all_rows(scene) if row.outcome is Outcome.ACKNOWLEDGED]
    decision = from_json(Decision, row.decision)
    assert (row.desired, decision.desired) == (3, 3)
    assert any("requests_per_s of 280 at 100" in sentence for sentence in decision.sentences), decision.sentences
    first = (
        await scene.decisions.decisions("default", before=None, only_changes=False, start=None, end=None, limit=99)
    )[-1]
    assert first.number is not None
    assert (await scene.decisions.decision("default", first.number)).memory is None


async def test_an_actuator_that_lies_is_found_out_and_asked_again(scene: ScaledPools):
    scene.actuator.lies = True
    await settle(scene, 280, READY)
    assert (await scene.acting()).stage is Stage.ACKNOWLEDGED

    async def found_out() -> bool:
        load(scene, 280, READY)
        await scene.round()
        return "acknowledged" in (await scene.acting()).problem

    await eventually(found_out, within=10)
    assert Outcome.FAILED in [outcome for _, outcome in await scene.acted()]
    assert any("3 acknowledged, and 1 still set" in problem for problem in (await scene.pools.pool("default")).problems)
    scene.actuator.lies = False

    async def obeyed() -> bool:
        load(scene, 280, READY)
        await scene.round()
        return scene.actuator.kept["default"] == 3

    await eventually(obeyed, within=15)


async def test_an_actuator_that_refuses_is_a_problem_of_the_pool_until_it_obeys(scene: ScaledPools):
    scene.actuator.refuses = "no quota"
    await settle(scene, 280, READY)
    assert len(scene.actuator.asked) == 1, "it is asked again later, not in each round"
    row = await scene.pools.pool("default")
    assert any("no quota" in problem for problem in row.problems)
    assert row.acting is not None
    assert (await scene.acting()).stage is Stage.FAILED


async def test_a_pool_that_the_actuator_cannot_tell_of_holds_no_other_pool(postgres_url: str):
    class HalfBlind(FakeActuator):
        async def targets(self, pools: Collection[str]) -> Mapping[str, int | ActuatorError]:
            return {**await super().targets(pools), "cpu": ActuatorError("it may not GET cpu")}

    async with scaled_pools(postgres_url, FixedFleet(), HalfBlind(default=1)) as scene:
        for pool in ("cpu", "default"):
            await scene.pools.put_policy(pool, policy(pool=pool, **QUICK).document(), "ada", "")
        await settle(scene, 280, READY)
        assert scene.actuator.asked == [("default", 3)]
        assert (await scene.pools.pool("cpu")).problems[-1] == "it may not GET cpu."


async def test_a_replica_that_never_becomes_ready_is_replaced_and_not_counted(scene: ScaledPools):
    await settle(scene, 280, READY)
    scene.actuator.asked.clear()

    async def replaced() -> bool:
        load(scene, 280, READY, READY, LOADING)
        await scene.round()
        return ("default", 2) in scene.actuator.asked

    await eventually(replaced, within=10)
    assert scene.actuator.asked[:2] == [("default", 2), ("default", 3)]
    detail = [row for row in await all_rows(scene) if "replaced" in row.detail]
    assert detail
    assert detail[-1].desired == 3


async def all_rows(scene: ScaledPools):
    return await scene.decisions.decisions("default", before=None, only_changes=False, start=None, end=None, limit=1000)


async def test_while_metrics_are_gone_nothing_is_taken_away_and_it_is_a_problem(scene: ScaledPools):
    scene.actuator.kept["default"] = 3
    await settle(scene, 280, READY, READY, READY)
    scene.fleet.away = True
    await scene.pools.put_policy(
        "default", policy(**{**QUICK, "max_signal_age": Duration(nanos=1)}).document(), "ada", ""
    )
    for _ in range(5):
        await scene.round()
    assert scene.actuator.asked == []
    assert any("stale" in problem for problem in (await scene.pools.pool("default")).problems)


async def test_batchers_that_are_out_of_sight_for_long_are_not_taken_away(scene: ScaledPools):
    scene.actuator.kept["default"] = 3
    await settle(scene, 280, READY, READY, READY)

    async def missing() -> bool:
        scene.fleet.fleet = Fleet(scene.fleet.fleet.read_s + 2.0, {})  # the control plane has forgotten everybody
        await scene.round()
        return any("did not appear" in problem for problem in (await scene.pools.pool("default")).problems)

    await eventually(missing, within=10)
    assert all(replicas >= 3 for _, replicas in scene.actuator.asked)


async def test_a_paused_pool_is_decided_and_not_acted_on(scene: ScaledPools):
    await scene.pools.pause("default", "an experiment", "ada")
    await settle(scene, 280, READY)
    assert scene.actuator.asked == []
    assert (await scene.latest()).outcome is Outcome.NOT_ACTED
    await scene.pools.resume("default")
    await settle(scene, 280, READY)
    assert scene.actuator.asked == [("default", 3)]


async def test_a_leader_that_was_paused_is_refused_and_asks_for_nothing(scene: ScaledPools, postgres_url: str):
    await settle(scene, 90, READY)
    # Its lease runs out while it stands still, and another one takes over.
    async with scene.database.transaction() as connection:
        await connection.execute("update leader_leases set until_time = now() - interval '1 s'")
    fleet, actuator = FixedFleet(), FakeActuator(default=1)
    async with scaled_pools(postgres_url, fleet, actuator) as other:
        assert other.lease.fence is not None
        await settle(scene, 280, READY)
        assert scene.actuator.asked == []
        assert scene.lease.fence is None
        await settle(other, 280, READY)
        assert actuator.asked == [("default", 3)]


async def test_a_new_leader_keeps_the_scale_and_the_stabilisation_history(postgres_url: str):
    slow = policy(**{**QUICK, "scale_down_window": Duration(seconds=300)})
    fleet, actuator = FixedFleet(), FakeActuator(default=1)
    async with scaled_pools(postgres_url, fleet, actuator) as before:
        await before.pools.put_policy("default", slow.document(), "ada", "")
        await settle(before, 280, READY)
        await settle(before, 280, READY, READY, READY)
        await before.lease.release()
    async with scaled_pools(postgres_url, fleet, actuator) as after:
        await settle(after, 10, READY, READY, READY)
        assert actuator.kept == {"default": 3}
        row = await after.latest()
        assert row.desired == 3, "what was wanted in the last five minutes still counts"
        assert row.memory is not None


async def test_a_leader_that_died_between_asking_and_the_answer_is_followed_by_one_that_asks_again(postgres_url: str):
    fleet, actuator = FixedFleet(), FakeActuator(default=1)
    async with scaled_pools(postgres_url, fleet, actuator) as before:
        await before.pools.put_policy("default", policy(**QUICK).document(), "ada", "")
        await settle(before, 90, READY)
        actuator.lies = True  # the request is lost with the leader
        load(before, 280, READY)
        await before.observer.look()
        for pool in before.leader.pools:
            pool.decided_s = -1e9
        await before.leader.step()
        assert (await before.acting()).stage is Stage.ASKED
        await before.lease.release()
    actuator.lies = False
    async with scaled_pools(postgres_url, fleet, actuator) as after:
        await settle(after, 280, READY)
        assert actuator.kept == {"default": 3}
        assert Outcome.SUPERSEDED in [outcome for _, outcome in await after.acted()]


async def test_the_demand_of_each_minute_is_kept_and_sets_the_floor_of_later_days(scene: ScaledPools):
    await settle(scene, 90, READY)
    now, _ = await scene.leader._rounds.in_force()
    minute = now.replace(second=0, microsecond=0)
    async with scene.lease.transaction() as connection:
        for day in (1, 2, 4, 5, 6):
            await connection.execute(
                "insert into demand_minutes values ('default', $1, 'requests_per_s', 780, 500, 5, 12)",
                minute - timedelta(days=day),
            )
    found = await scene.leader._rounds.seasonal_peaks("default", "requests_per_s", now, 7, timedelta(seconds=60))
    assert [None if math.isnan(peak) else peak for peak in found] == [None, 780, 780, 780, None, 780, 780]
    # As another look-up would find it.
    for pool in scene.leader.pools:
        pool.declared = replace(pool.declared, policy=replace(policy(preset="headrace").policy))
        pool.peaks_until_s = -1e9
    await settle(scene, 90, READY)
    assert from_json(Decision, (await scene.latest()).decision).rule == "season"
    assert scene.actuator.asked == [("default", 8)]


async def test_surges_at_this_minute_of_the_last_three_hours_set_the_floor_until_days_are_known(scene: ScaledPools):
    await settle(scene, 90, READY)
    now, _ = await scene.leader._rounds.in_force()
    minute = now.replace(second=0, microsecond=0)
    async with scene.lease.transaction() as connection:
        for at in range(1, 301):
            await connection.execute(
                "insert into demand_minutes values ('default', $1, 'requests_per_s', $2, $2, 5, 12)",
                *(minute - timedelta(minutes=at), 780.0 if at % 60 in (0, 59, 58) else 100.0),
            )
    found = await scene.leader._rounds.earlier_hours("default", "requests_per_s", now, 3, timedelta(seconds=60))
    assert [(one.peak, round(one.mean, 6)) for one in found.hours] == [(780.0, 134.0)] * 3
    assert found.likeness == pytest.approx(1.0)
    for pool in scene.leader.pools:
        pool.declared = replace(pool.declared, policy=replace(policy(preset="headrace").policy))
        pool.peaks_until_s = -1e9
    await settle(scene, 90, READY)
    assert from_json(Decision, (await scene.latest()).decision).rule == "hour"
    assert scene.actuator.asked == [("default", 8)]


async def test_a_thousand_pools_are_decided_and_kept_in_one_round(postgres_url: str):
    fleet, actuator = FixedFleet(), FakeActuator()
    names = [f"pool-{at}" for at in range(1000)]
    async with scaled_pools(postgres_url, fleet, actuator) as scene:
        async with scene.database.transaction() as connection:
            await connection.execute(
                "with made as (insert into policies (pool, policy, client) select *, $2::json, 'ada'"
                " from unnest($1::text[]) returning pool, revision)"
                " insert into pools (pool, revision, sequence) select pool, revision, 1 from made",
                names,
                policy(**QUICK).document(),
            )
        members = {name: (batcher(name, READY, at_s=2.0, answered=500),) for name in names}
        fleet.fleet = Fleet(2.0, members)
        await scene.round()
        async with scene.database.transaction() as connection:
            assert await connection.fetchval("select count(*) from decisions") == 1000


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_process_whose_clock_is_wrong_by_an_hour_decides_as_one_whose_clock_is_right(
    postgres_url: str, hours: int
):
    fleet, actuator = FixedFleet(), FakeActuator(default=1)
    async with scaled_pools(postgres_url, fleet, actuator) as right:
        await right.pools.put_policy("default", policy(**QUICK).document(), "ada", "")
        await settle(right, 280, READY)
        await settle(right, 280, READY, READY, READY)
        await right.lease.release()
    async with scaled_pools(postgres_url, fleet, actuator, clock=ShiftedClock(timedelta(hours=hours))) as wrong:
        await settle(wrong, 280, READY, READY, READY)
        assert actuator.kept == {"default": 3}
        decision = from_json(Decision, (await wrong.latest()).decision)
        assert all(one.problem is None for one in decision.recommendations)
        await settle(wrong, 20, READY, READY, READY)
        assert actuator.kept == {"default": 1}


async def test_a_leader_that_died_after_the_answer_and_before_it_was_kept_is_followed_without_asking_again(
    postgres_url: str,
):
    fleet, actuator = FixedFleet(), FakeActuator(default=1)
    async with scaled_pools(postgres_url, fleet, actuator) as before:
        await before.pools.put_policy("default", policy(**QUICK).document(), "ada", "")
        await settle(before, 90, READY)
        while not actuator.asked:
            load(before, 280, READY)
            await before.round()
        assert (await before.acting()).stage is Stage.ASKED
        await before.lease.release()
    asked = len(actuator.asked)
    async with scaled_pools(postgres_url, fleet, actuator) as after:
        await settle(after, 280, READY, READY, READY)
        assert len(actuator.asked) == asked or actuator.kept == {"default": 3}
        await settle(after, 280, READY, READY, READY)
        assert (await after.acting()).stage is Stage.DONE
