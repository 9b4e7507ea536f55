"""The controller runs every active rollout, in one process at a time, each in a separate task."""

from __future__ import annotations

import asyncio
import random
from typing import NoReturn

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Aborted, ServiceError
from headrace_servicekit.loops import delay_s

from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.peers import Routes
from headrace_rollout.registry import Registry
from headrace_rollout.runner import Runner
from headrace_rollout.store import Store
from headrace_rollout.surroundings import Judging, Rooms

log = structlog.get_logger()

LOOK_EVERY_S = 0.5
TURN_EVERY_S = 1.0
MAX_BACKOFF_S = 5.0


class Controller:
    """Leads, and runs what there is while it leads. A leader that was overtaken writes nothing: its lease is the fence
    of what it keeps, and the etag that is kept there is the fence of the routes it writes.
    """

    def __init__(
        self,
        store: Store,
        lease: LeaderLease,
        routes: Routes,
        registry: Registry,
        judging: Judging,
        rooms: Rooms,
        clock: Clock,
    ) -> None:
        self._store, self._lease, self._routes, self._registry = store, lease, routes, registry
        self._judging, self._rooms, self._clock = judging, rooms, clock
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._wakeups: dict[int, Wakeup] = {}

    @property
    def running(self) -> int:
        """Number of rollouts that this process runs."""
        return len(self._tasks)

    def wake(self) -> None:
        """Run every rollout's next turn now, after a client changed one."""
        for wakeup in self._wakeups.values():
            wakeup.wake()

    async def run(self) -> NoReturn:
        """Run the rollouts whenever this process holds the leader lease."""
        async with asyncio.TaskGroup() as group:

            async def step() -> bool:
                for rollout in await self._store.running():
                    if rollout.id not in self._tasks:
                        self._begin(group, rollout)
                return False

            await self._lease.lead(step, every_s=LOOK_EVERY_S)
        raise AssertionError("unreachable")

    def _begin(self, group: asyncio.TaskGroup, rollout: Rollout) -> None:
        self._wakeups[rollout.id] = Wakeup()
        task = group.create_task(self._drive(rollout), name=rollout.name)
        self._tasks[rollout.id] = task
        task.add_done_callback(lambda _: (self._tasks.pop(rollout.id, None), self._wakeups.pop(rollout.id, None)))

    async def _drive(self, rollout: Rollout) -> None:
        """Take turns until the rollout is over, or another process leads."""
        runner = Runner(self._store, self._lease, self._routes, self._registry, self._judging, self._rooms, self._clock)
        failures, reason = 0, ""
        while not rollout.state.over:
            try:
                before, now = await self._store.rollout_and_time(rollout.id)
                rollout = await runner.turn(before, now)
                failures = 0
                if (rollout.state, rollout.moving, rollout.writes) == (before.state, before.moving, before.writes):
                    await self._wakeups[rollout.id].wait(TURN_EVERY_S)
                continue
            except Aborted as error:
                if error.reason == "NOT_LEADING":
                    return
                problem = error.public_message
            except ServiceError as error:
                problem = error.public_message
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
                log.warning("a turn failed", rollout=rollout.name, exc_info=failures == 0)
            failures += 1
            if problem != reason:
                log.warning("a rollout waits", rollout=rollout.name, reason=problem)
                reason = problem
            pause = delay_s(failures - 1, every_s=0.2, max_backoff_s=MAX_BACKOFF_S, jitter=0.2, draw=random.random())
            await self._wakeups[rollout.id].wait(pause)
        log.info("rollout over", rollout=rollout.name, state=rollout.state.value, reason=rollout.reason)
