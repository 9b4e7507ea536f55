"""Many rollouts at once, by one controller on a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from headrace_rollout.controller import Controller
from headrace_rollout.decisions.rollouts import Event, State, Transition
from headrace_rollout.store import Request, Store, database
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import eventually

from tests.integration.rollout.test_crashes import POLICY
from tests.kit.rollout.rollouts import IMPLICIT, rollout
from tests.kit.rollout.world import World

COUNT = 100


class Worlds:
    """A world of its own for each model."""

    def __init__(self) -> None:
        self.by_model = {f"model-{number}": World(IMPLICIT, etag="e0") for number in range(COUNT)}

    def __getattr__(self, name: str) -> Any:
        def call(about: Any, *args: Any, **kwargs: Any) -> Any:
            model = about if isinstance(about, str) else about.model
            return getattr(self.by_model[model], name)(about, *args, **kwargs)

        return call


@pytest.mark.long
async def test_a_hundred_rollouts_at_once_each_come_to_their_end(postgres_url: str):
    async with database(Address(postgres_url), 8) as opened:
        await opened.migrate()
        store, clock, worlds = Store(opened), SystemClock(), Worlds()
        for model in worlds.by_model:
            await store.start(_began(model), Request("ana", "", b""))
        outside: Any = worlds
        lease = LeaderLease(opened, "rollouts", clock)
        controller = Controller(store, lease, outside, outside, outside, outside, clock)
        running = asyncio.create_task(controller.run())
        try:

            async def over() -> bool:
                return not await store.running()

            await eventually(over, within=60, every=0.2)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        ended = await store.rollouts(before=2**62, model="", running=False, limit=2 * COUNT)
        assert [one.state for one in ended] == [State.SUCCEEDED] * COUNT
        assert {world.production for world in worlds.by_model.values()} == {"v2"}
        assert {world.managed_by for world in worlds.by_model.values()} == {""}


def _began(model: str) -> Any:
    def began(id_: int, now: Any) -> Transition:
        one = replace(rollout(POLICY), id=id_, model=model, create_time=now)
        return Transition(one, (Event("started", "", "ana"),))

    return began
