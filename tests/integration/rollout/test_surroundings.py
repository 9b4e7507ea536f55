"""A rollout whose model goes, whose version's files go, or whose control plane is away, at every call that it makes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from headrace_rollout.decisions import progress
from headrace_rollout.decisions.policies import Policy
from headrace_rollout.decisions.rollouts import Rollout, State
from headrace_rollout.release import Releasing
from headrace_rollout.runner import Runner
from headrace_rollout.store import Store, database
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.postgres.connections import Address, Connections

from tests.integration.rollout.test_crashes import (
    MOST,
    POLICY,
    SHADOW,
    assert_consistent,
    leading,
    served,
    started,
)
from tests.kit.rollout.checkpoints import Checkpoints, Through
from tests.kit.rollout.rollouts import IMPLICIT
from tests.kit.rollout.world import World

pytestmark = pytest.mark.faults

# More turns than any rollout takes here.
TURNS = 60
# How many of them a control plane that is away misses.
AWAY_TURNS = 3


@pytest.fixture
async def connections(postgres_url: str) -> AsyncIterator[Connections]:
    async with database(Address(postgres_url), 6) as opened:
        await opened.migrate()
        yield opened


@pytest.mark.parametrize("heard", ["at once", "never"])
async def test_a_rollout_whose_model_is_deleted_at_any_call_ends_and_says_so(connections: Connections, heard: str):
    def delete(world: World) -> None:
        # "never": what a registry that was put back from a backup no longer knows goes on serving.
        world.registered, world.routed = False, heard == "never"

    async for told, world, over in disturbed(connections, delete):
        assert over.state in (State.FAILED, State.DISPLACED, State.SUCCEEDED), told
        if over.state is State.SUCCEEDED:  # it was over but for the last acknowledgement
            assert world.production == "v2", told
        else:
            assert "deleted" in over.reason or "not found" in over.reason, (told, over.reason)
        if heard == "never":
            assert_consistent(world, told)
            assert (len(world.in_force.variants), world.managed_by) == (1, ""), told


async def test_a_rollout_whose_version_loses_its_files_at_any_call_is_taken_back(connections: Connections):
    def collect(world: World) -> None:
        world.kept = False

    async for told, world, over in disturbed(connections, collect):
        assert over.state is (State.SUCCEEDED if world.promotions else State.FAILED), told
        assert over.state is State.SUCCEEDED or "no longer kept" in over.reason, (told, over.reason)
        assert_consistent(world, told)
        assert (served(world), world.managed_by) == (world.production, ""), told


@pytest.mark.parametrize("policy", [POLICY, SHADOW], ids=["canary", "shadow"])
async def test_a_control_plane_that_is_away_from_any_call_on_is_waited_for(connections: Connections, policy: Policy):
    async for told, world, over in disturbed(connections, gone, back=True, policy=policy):
        assert over.state is State.SUCCEEDED, (told, over.reason)
        assert_consistent(world, told)
        assert (served(world), world.managed_by) == ("v2", ""), told


async def test_a_rollout_that_is_aborted_while_the_control_plane_is_away_is_taken_back_once_it_is_there(
    connections: Connections,
):
    async def abort(store: Store, id_: int) -> None:
        if (await store.rollout(id_)).state in (State.PREPARING, State.SHADOWING, State.RUNNING):
            await store.change(id_, lambda one, now: progress.abort(one, "ana", "", now))

    async for told, world, over in disturbed(connections, gone, back=True, meanwhile=abort, policy=SHADOW):
        assert over.state in (State.ABORTED, State.SUCCEEDED), (told, over.reason)
        assert_consistent(world, told)
        assert not world.in_force.HasField("shadowing"), told
        serves = "v1" if over.state is State.ABORTED else "v2"
        assert (served(world), world.managed_by) == (serves, ""), told


async def test_a_control_plane_that_stays_away_before_anything_moved_fails_the_rollout_by_name(
    connections: Connections,
):
    world, store = World(IMPLICIT, etag="e0"), Store(connections)
    gone(world)
    began = await started(store, replace(POLICY, ready_timeout=timedelta()))
    outside: Any = world
    runner = Runner(store, await leading(connections), outside, outside, outside, outside, SystemClock())
    over = await runner.turn(*await store.rollout_and_time(began.id))
    assert (over.state, world.managed_by, len(world.written)) == (State.FAILED, "", 1)
    assert over.reason.endswith("control plane: nobody listens there")


def gone(world: World) -> None:
    """Take the control plane away."""
    world.away = True


async def disturbed(
    connections: Connections,
    disturb: Callable[[World], None],
    *,
    back: bool = False,
    meanwhile: Callable[[Store, int], Awaitable[None]] | None = None,
    policy: Policy = POLICY,
) -> AsyncIterator[tuple[str, World, Rollout]]:
    """Yield rollouts that are over, each disturbed at another call: all that a rollout makes.

    back: whether the control plane is back after turns that got nowhere. meanwhile: what is done before it is.
    """
    for at in range(MOST):
        world, store = World(IMPLICIT, etag="e0"), Store(connections)

        async def act(world: World = world) -> None:
            disturb(world)

        points = Checkpoints(at, act)
        outside: Any = Through(world, points)
        runner = Runner(store, await leading(connections), outside, outside, outside, outside, SystemClock())
        one, away = await started(store, policy), 0
        for _ in range(TURNS):
            one, now = await store.rollout_and_time(one.id)
            if one.state.over:
                break
            with contextlib.suppress(ServiceError):  # the controller tries again, for ever
                await runner.turn(one, now)
            away += world.away
            if back and away == AWAY_TURNS:
                if meanwhile is not None:
                    await meanwhile(store, one.id)
                world.away = False
        told = f"disturbed at call {at}: {one.state.value}, {one.reason}"
        assert one.state.over, told
        if points.count <= at:
            return
        with contextlib.suppress(ServiceError):
            await Releasing(store, outside, outside).run()
        yield told, world, one
    raise AssertionError("there is no end of calls")
