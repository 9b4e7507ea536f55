"""What a rollout held is released once it is over, however long the registry is away."""

from __future__ import annotations

from typing import Any

import pytest
from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.release import Releasing
from headrace_rollout.runner import Runner
from headrace_rollout.store import Store, database
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.testing import eventually

from tests.integration.rollout.test_crashes import POLICY, leading, started
from tests.kit.rollout.rollouts import IMPLICIT
from tests.kit.rollout.world import World


async def ended(connections: Connections, world: World) -> Rollout:
    """Take a rollout to its end."""
    outside: Any = world
    runner = Runner(Store(connections), await leading(connections), outside, outside, outside, outside, SystemClock())
    one = await started(Store(connections), POLICY)
    while not one.state.over:
        one = await runner.turn(*await Store(connections).rollout_and_time(one.id))
    return one


async def test_a_release_that_the_registry_does_not_take_is_repeated_until_it_does(postgres_url: str):
    async with database(Address(postgres_url), 6) as connections:
        await connections.migrate()
        world = World(IMPLICIT, etag="e0")
        outside: Any = world
        world.releases_lost = 3  # the one before its end, and two after it
        over = await ended(connections, world)
        assert world.holds == {over.manager}, "so that a promotion by hand is refused for a rollout that is over"
        releasing = Releasing(Store(connections), outside, outside)
        with pytest.raises(Unavailable):
            await releasing.run()

        async def is_released() -> bool:
            try:
                await releasing.run()
            except Unavailable:
                return False
            return not world.holds

        await eventually(is_released, within=30)
        assert world.leases == set()
        world.holds = {"rollouts/another"}
        await releasing.run()
        assert world.holds == {"rollouts/another"}, "what was released is not released again"


async def test_what_a_rollout_holds_that_runs_is_not_released(postgres_url: str):
    async with database(Address(postgres_url), 6) as connections:
        await connections.migrate()
        world = World(IMPLICIT, etag="e0")
        outside: Any = world
        one = await started(Store(connections), POLICY)
        await world.hold(one)
        await Releasing(Store(connections), outside, outside).run()
        assert world.holds == {one.manager}
