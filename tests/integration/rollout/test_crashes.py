"""A rollout that is stopped at every call that it makes: killed there, or paused beside another leader."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from headrace_rollout.decisions import growth, progress
from headrace_rollout.decisions.headroom import PoolLoad, Room
from headrace_rollout.decisions.policies import OnDrift, Policy, Shadow, Step, Strategy
from headrace_rollout.decisions.rollouts import Decision, Event, Rollout, State, Transition
from headrace_rollout.runner import Runner
from headrace_rollout.store import Request, Store, database
from headrace_servicekit.clock import Clock, SystemClock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.testing import eventually

from tests.kit.rollout.checkpoints import Checkpoints, KilledError, Through, kill
from tests.kit.rollout.rollouts import IMPLICIT, rollout
from tests.kit.rollout.world import World
from tests.kit.stores.coordination import ShiftedClock

NOW = timedelta()
POLICY = Policy(Strategy.CANARY, (Step(0.05, NOW), Step(0.5, NOW), Step(1.0, NOW)))
SHADOW = Policy(Strategy.SHADOW, (Step(1.0, NOW),), shadow=Shadow(dwell=NOW))
WARM = replace(POLICY, steps=POLICY.steps[1:], shadow=Shadow(dwell=NOW, warms=True))
SHADOW_ALONE = replace(SHADOW, steps=())
# Which policy, which decision at which step, how it ends, and the version that serves then.
SCENARIOS = {
    "promoted": (POLICY, {}, State.SUCCEEDED, "v2"),
    "taken back at the first step": (POLICY, {0: Decision.ROLL_BACK}, State.ROLLED_BACK, "v1"),
    "taken back at the last step": (POLICY, {2: Decision.ROLL_BACK}, State.ROLLED_BACK, "v1"),
    "promoted after a shadow": (SHADOW, {}, State.SUCCEEDED, "v2"),
    "promoted after it was warmed": (WARM, {}, State.SUCCEEDED, "v2"),
    "taken back after a shadow": (SHADOW, {0: Decision.ROLL_BACK}, State.ROLLED_BACK, "v1"),
    "taken back as a shadow": (SHADOW, {-1: Decision.ROLL_BACK}, State.ROLLED_BACK, "v1"),
    "a shadow that nothing follows": (SHADOW_ALONE, {}, State.SHADOWED, "v1"),
}
# More than any scenario has.
MOST = 400


@pytest.fixture
async def connections(postgres_url: str) -> AsyncIterator[Connections]:
    async with database(Address(postgres_url), 6) as opened:
        await opened.migrate()
        yield opened


@pytest.mark.parametrize(
    "scenario", [name if name == "promoted" else pytest.param(name, marks=pytest.mark.faults) for name in SCENARIOS]
)
async def test_killed_at_every_call_a_rollout_ends_in_the_same_way(connections: Connections, scenario: str):
    policy, verdicts, state, version = SCENARIOS[scenario]
    undisturbed = await ended(connections, World(IMPLICIT, etag="e0", verdicts=verdicts), None, policy)
    assert undisturbed[0].state is state
    for at in range(MOST):
        world = World(IMPLICIT, etag="e0", verdicts=verdicts)
        over, events, killed = await ended(connections, world, at, policy)
        if not killed:
            return
        told = f"killed at call {at}"
        assert (over.state, events) == (state, undisturbed[1]), told
        assert_consistent(world, told)
        assert served(world) == version, told
        assert (world.managed_by, world.in_force.HasField("shadowing")) == ("", False), told
        assert_shadow_answers_nobody(world, told, ends_as_shadow=-1 in verdicts or not policy.steps)
        assert world.promotions <= 1, told
    raise AssertionError("there is no end of calls")


@pytest.mark.faults
async def test_killed_at_every_call_a_rollout_that_is_slowed_grows_to_the_same_shares(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(growth, "SETTLE", NOW)

    def slow() -> World:
        world = World(IMPLICIT, etag="e0")
        # Half of the traffic each time.
        world.room = Room(1000.0, extra_share=1.0, pool=PoolLoad(1, 0.3, 0.001))
        return world

    undisturbed = slow()
    policy = replace(POLICY, steps=(Step(0.3, NOW), Step(1.0, NOW)))
    _, told, _ = await ended(connections, undisturbed, None, policy)
    assert told.count("step") == 3, "30, 80 and 100 %"
    for at in range(MOST):
        world = slow()
        over, events, killed = await ended(connections, world, at, policy)
        if not killed:
            return
        assert (over.state, events) == (State.SUCCEEDED, told), f"killed at call {at}"
        assert world.written == undisturbed.written, f"killed at call {at}"
        assert_consistent(world, f"killed at call {at}")
    raise AssertionError("there is no end of calls")


@pytest.mark.faults
@pytest.mark.parametrize("policy", [POLICY, SHADOW], ids=["canary", "shadow"])
async def test_a_leader_that_was_paused_at_any_call_moves_nothing_when_it_comes_back(
    connections: Connections, policy: Policy
):
    for at in range(MOST):
        world = World(IMPLICIT, etag="e0")
        store = Store(connections)
        began = await started(store, policy)
        lease = LeaderLease(connections, "rollouts", SystemClock(), lease=timedelta(milliseconds=1))
        assert await lease.acquire()
        paused, go_on = asyncio.Event(), asyncio.Event()

        async def pause(paused: asyncio.Event = paused, go_on: asyncio.Event = go_on) -> None:
            paused.set()
            await go_on.wait()

        points = Checkpoints(at, pause)
        first = asyncio.create_task(driven(store, lease, world, began.id, points))
        waiting = asyncio.create_task(paused.wait())
        await asyncio.wait({first, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if first.done():
            return
        # Another one leads, and somebody aborts.
        second = await leading(connections, timedelta(minutes=1))
        before = await store.rollout(began.id)
        if before.state in (State.PREPARING, State.SHADOWING, State.RUNNING):
            await store.change(began.id, lambda one, now: progress.abort(one, "ana", "", now))
        over = await driven(store, second, world, began.id, Checkpoints())
        left = (world.in_force, world.production, world.managed_by)
        go_on.set()
        with contextlib.suppress(ServiceError):  # a stale etag, or a lease that is over; after its last call, nothing
            await first
        assert (world.in_force, world.production, world.managed_by) == left, f"paused at call {at}"
        assert (await store.rollout(began.id)).state is over.state
        assert served(world) == ("v2" if over.state is State.SUCCEEDED else "v1"), f"paused at call {at}"
        await second.release()
    raise AssertionError("there is no end of calls")


@pytest.mark.faults
@pytest.mark.parametrize("answer", ["", "rejected by cid"])
async def test_killed_at_every_call_a_rollout_that_asks_for_approvals_anew_hears_the_same_answer(
    connections: Connections, answer: str
):
    policy = replace(POLICY, steps=POLICY.steps[1:], on_drift=OnDrift.ASK)
    for at in range(MOST):
        world = World(IMPLICIT, etag="e0")
        world.drifts, world.answer = ("amount has drifted",), answer
        over, events, killed = await ended(
            connections, world, at, policy, promotion_request="models/digits/promotionRequests/7"
        )
        told = (at, over.reason, events)
        assert over.state is (State.ROLLED_BACK if answer else State.SUCCEEDED), told
        assert [one for one in events if one in ("asked", "agreed")] == ["asked", "agreed"][: 1 if answer else 2], told
        assert world.asked > 0
        assert_consistent(world, f"killed at call {at}")
        if not killed:
            return
    raise AssertionError("there is no end of calls")


async def test_a_rollout_whose_approval_another_one_has_moves_nothing(connections: Connections):
    world = World(IMPLICIT, etag="e0")
    world.claimed = "rollouts/1000000"
    store = Store(connections)
    began = await started(store, promotion_request="models/digits/promotionRequests/7")
    over = await driven(store, await leading(connections), world, began.id, Checkpoints())
    assert over.state is State.FAILED
    assert "another rollout has the request" in over.reason
    assert len(world.written) == 1


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_process_whose_clock_is_an_hour_off_comes_to_the_same_end(connections: Connections, hours: int):
    world = World(IMPLICIT, etag="e0")
    store = Store(connections)
    began = await started(store)
    clock = ShiftedClock(timedelta(hours=hours))
    lease = LeaderLease(connections, "rollouts", clock, lease=timedelta(minutes=1))
    assert await lease.acquire()
    over = await driven(store, lease, world, began.id, Checkpoints(), clock=clock)
    assert (over.state, served(world)) == (State.SUCCEEDED, "v2")
    assert over.end_time is not None
    assert began.create_time <= over.end_time < began.create_time + timedelta(minutes=5)
    await lease.release()


async def test_a_route_that_a_person_takes_is_left_alone(connections: Connections):
    world = World(IMPLICIT, etag="e0", verdicts={0: Decision.HOLD})
    store = Store(connections)
    began = await started(store)
    lease = await leading(connections)
    outside: Any = world
    runner = Runner(store, lease, outside, outside, outside, outside, SystemClock())
    while (one := await store.rollout_and_time(began.id))[0].verdict is None:
        await runner.turn(*one)
    world.take()
    over = await driven(store, lease, world, began.id, Checkpoints())
    assert (over.state, world.managed_by) == (State.DISPLACED, "")
    assert len(world.written) == 2  # as it was, and the first step: nobody wrote after the person


async def ended(
    connections: Connections, world: World, killed_at: int | None, policy: Policy, **how: Any
) -> tuple[Rollout, list[str], bool]:
    """Run a rollout, killed once; return it, the types of its events, and whether it was killed at all."""
    store = Store(connections)
    began = await started(store, policy, **how)
    points = Checkpoints(killed_at, kill)
    killed = False
    try:
        lease = await leading(connections)
        over = await driven(store, lease, world, began.id, points)
    except KilledError:
        killed = True
        over = await driven(store, await leading(connections), world, began.id, Checkpoints())
    events = await store.events(began.id, before=2**62, limit=100)
    return over, [one.event.type for one in reversed(events)], killed


async def started(store: Store, policy: Policy = POLICY, **how: Any) -> Rollout:
    """Keep a rollout that was just started; any one before it is over."""

    def began(id_, now):
        return Transition(replace(rollout(policy, **how), id=id_, create_time=now), (Event("started", "", "ana"),))

    return await store.start(began, Request("ana", "", b""))


async def leading(connections: Connections, length: timedelta = timedelta(milliseconds=1)) -> LeaderLease:
    """Lead, whoever led before."""
    lease = LeaderLease(connections, "rollouts", SystemClock(), lease=length)
    await eventually(lease.acquire)
    return lease


async def driven(
    store: Store, lease: LeaderLease, world: World, id_: int, points: Checkpoints, *, clock: Clock | None = None
) -> Rollout:
    """Take turns until the rollout is over. Raises what a turn raises."""
    outside: Any = Through(world, points)
    through: Any = Through(store, points)
    runner = Runner(through, lease, outside, outside, outside, outside, clock or SystemClock())
    while True:
        one, now = await store.rollout_and_time(id_)
        if one.state.over:
            return one
        await runner.turn(one, now)


def assert_consistent(world: World, told: str) -> None:
    """Assert that in every route that was ever in force the weights are shares of one whole."""
    for route in world.written:
        weights = [variant.weight for variant in route.variants]
        assert math.isclose(sum(weights), 1), (told, weights)
        assert min(weights) >= 0, (told, weights)


def assert_shadow_answers_nobody(world: World, told: str, *, ends_as_shadow: bool) -> None:
    """Assert that the new version has no weight in a route with a shadow, nor ever if it comes to no step."""
    for route in world.written:
        if route.HasField("shadowing") or ends_as_shadow:
            assert not any(one.weight for one in route.variants if one.version == "v2"), told


def served(world: World) -> str:
    """Return the version that all of the route in force serves."""
    (variant,) = world.in_force.variants
    return world.production if variant.follow_production else variant.version
