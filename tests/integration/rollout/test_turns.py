"""How often a rollout is judged: by the clock, and at once when a caller changed it."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from headrace_rollout.controller import Controller
from headrace_rollout.decisions.policies import Policy, Step, Strategy
from headrace_rollout.decisions.rollouts import Decision, Event, Rollout, Transition, Verdict
from headrace_rollout.store import Request, Store, database
from headrace_rollout.surroundings import Judged
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.coordination.feeds import heed
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import eventually

from tests.kit.rollout.rollouts import IMPLICIT, rollout
from tests.kit.rollout.world import World

POLICY = Policy(Strategy.CANARY, (Step(0.05, timedelta(hours=1)), Step(1.0, timedelta(hours=1))))


class Judging(World):
    """A judge whose evidence is another one each time that it is asked."""

    def __init__(self) -> None:
        super().__init__(IMPLICIT, etag="e0")
        self.times: list[float] = []

    async def judge(self, rollout: Rollout, now: datetime) -> Judged:
        self.times.append(time.monotonic())
        return Judged(str(len(self.times)), Verdict(Decision.HOLD, "not yet", (), now), None)


async def test_a_rollout_is_judged_each_second_and_at_once_when_another_process_changed_it(postgres_url: str):
    async with database(Address(postgres_url), 6) as connections:
        await connections.migrate()
        store, clock, world = Store(connections), SystemClock(), Judging()
        lease = LeaderLease(connections, "rollouts", clock)
        outside: Any = world
        controller = Controller(store, lease, outside, outside, outside, outside, clock)

        def began(id_: int, now: datetime) -> Transition:
            return Transition(replace(rollout(POLICY), id=id_, create_time=now), (Event("started", "", "ana"),))

        started = await store.start(began, Request("ana", "", b""))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(controller.run()),
                group.create_task(heed(store.requests, controller.wake)),
            ]
            await eventually(lambda: len(world.times) >= 5, within=30)
            apart = [after - before for before, after in itertools.pairwise(world.times[1:5])]
            assert min(apart) > 0.9, "new evidence alone must not start another turn"

            async def between_turns() -> bool:
                return (await store.rollout(started.id)).evidence == str(len(world.times))

            await eventually(between_turns, within=10)
            before, asked = len(world.times), time.monotonic()
            await store.change(started.id, lambda one, _: Transition(one, (Event("noted", "", "ana"),)))
            await eventually(lambda: len(world.times) > before, within=5)
            assert world.times[before] - asked < 0.5
            for task in tasks:
                task.cancel()
