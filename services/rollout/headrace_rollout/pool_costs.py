"""Cost of a larger share of a rollout and head-room of its pool, from reports of the monitor and control plane."""

from __future__ import annotations

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import ServiceError

from headrace_rollout.decisions.headroom import Look, Room, executed, load_between, room_of
from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.peers import Routes
from headrace_rollout.traffic import TrafficReader

log = structlog.get_logger()

# Older samples do not describe the current load.
FORGET_S = 15.0
LOOK_EVERY_S = 1.0
# Attempts and pause of `measured`.
_TRIES, _PAUSE_S = 8, 0.5


class HeadRoom:
    """Samples pools on demand; one sample serves all rollouts of a pool."""

    def __init__(self, routes: Routes, traffic: TrafficReader, clock: Clock) -> None:
        self._routes, self._traffic, self._clock = routes, traffic, clock
        self._looks: dict[str, list[tuple[float, Look]]] = {}

    async def of(self, rollout: Rollout) -> Room | None:
        """Return the head-room for a rollout; None while the pool's load is being measured: retry in a second.

        If the monitor or the control plane is away, nothing is limited.
        """
        arms = await self._traffic.arms(rollout)
        if arms is None:
            return Room()
        baseline, candidate = arms
        try:
            coverage = await self._routes.coverage(rollout) if baseline.precomputed else 0.0
            without = room_of(baseline, candidate, coverage)
            if without.extra_share <= 0:
                return without
            looks = await self._looked(rollout.pool)
        except ServiceError as error:
            log.warning("head-room unknown", rollout=rollout.name, reason=error.public_message)
            return Room()
        (_, first), (_, last) = looks[0], looks[-1]
        if not executed(last, rollout.model, rollout.baseline):
            return without  # the execution time per request is unknown
        pool = load_between(first, last, rollout.model, rollout.baseline)
        return None if pool is None else room_of(baseline, candidate, coverage, pool)

    async def measured(self, rollout: Rollout) -> Room:
        """Return the head-room for a rollout, waiting for a few seconds if the load has to be measured."""
        for _ in range(_TRIES):
            room = await self.of(rollout)
            if room is not None:
                return room
            await self._clock.sleep(_PAUSE_S)
        return Room()

    async def _looked(self, pool: str) -> list[tuple[float, Look]]:
        """Return the recent samples of a pool, the newest at most LOOK_EVERY_S old."""
        now = self._clock.monotonic()
        looks = [one for one in self._looks.get(pool, []) if now - one[0] < FORGET_S]
        if not looks or now - looks[-1][0] >= LOOK_EVERY_S:
            looks.append((now, await self._routes.look(pool)))
        self._looks[pool] = looks
        return looks
