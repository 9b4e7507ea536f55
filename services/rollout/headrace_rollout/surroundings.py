"""Observation of a rollout at a stage: its inputs from the peers, and the decision from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import structlog
from headrace_servicekit.errors import Code, ServiceError

from headrace_rollout.decisions import growth, progress
from headrace_rollout.decisions.headroom import Room
from headrace_rollout.decisions.observation import Consent, Observation, Surroundings
from headrace_rollout.decisions.rollouts import Rollout, Transition, Verdict
from headrace_rollout.peers import Routes
from headrace_rollout.registry import Registry
from headrace_rollout.store import Decide

log = structlog.get_logger()

# The registry's codes for a promotion request that has ended. After any other error no approval was requested.
_REFUSED = frozenset({Code.FAILED_PRECONDITION, Code.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Judged:
    """A judgement of a rollout. evidence: to store. verdict: None for a strategy without judgement. bad_from: time of
    the first bad answer counted.
    """

    evidence: str
    verdict: Verdict | None
    bad_from: datetime | None


class Judging(Protocol):
    """The judge, as a turn needs it."""

    async def begin(self, rollout: Rollout, now: datetime) -> str:
        """Return the evidence before the first request of the version. Raises ServiceError while there is none."""
        ...

    async def judge(self, rollout: Rollout, now: datetime) -> Judged:
        """Judge the answers since the last call. If the monitor is away, the verdict says so; nothing is raised."""
        ...

    def surroundings(self, model: str) -> Surroundings:
        """Return the alerts and experiment that may hold a model's rollouts."""
        ...


class Rooms(Protocol):
    """The head-room of pools, as a turn needs it."""

    async def of(self, rollout: Rollout) -> Room | None:
        """Return the head-room for a rollout; None while it is being measured. Raises nothing."""
        ...


class Observing:
    """Observes what a rollout's decision depends on."""

    def __init__(self, routes: Routes, registry: Registry, judging: Judging, rooms: Rooms) -> None:
        self._routes, self._registry, self._judging, self._rooms = routes, registry, judging, rooms

    async def decided(self, rollout: Rollout, now: Callable[[], datetime]) -> Decide:
        """Observe, and return the decision. Raises ServiceError while the control plane is away: retry later."""
        try:
            route, _ = await self._routes.route(rollout.model)
        except ServiceError as error:
            if error.reason != "MODEL_NOT_FOUND":
                raise
            return progress.gone
        try:
            named = await self._registry.named(rollout)
        except ServiceError as error:
            if error.code is Code.NOT_FOUND:
                return progress.model_deleted
            named = None
        judged = await self._judging.judge(rollout, now())
        seen = Observation(
            route.managed_by,
            named,
            self._judging.surroundings(rollout.model),
            judged.verdict,
            consent=await self.consent(rollout),
        )
        if growth.wants_room(rollout, seen, now()):
            seen = replace(seen, room=await self._rooms.of(rollout))

        def decide(one: Rollout, time: datetime) -> Transition:
            one = replace(one, evidence=judged.evidence, bad_from=judged.bad_from)
            return progress.observed(one, seen, time)

        return decide

    async def consent(self, rollout: Rollout) -> Consent | None:
        """Return the approvers' decision; None while it is pending, not required, or not theirs."""
        if not rollout.asks or not rollout.promotion_request:
            return None
        try:
            return Consent() if await self._registry.ask_again(rollout) else None
        except ServiceError as error:
            if error.code in _REFUSED:
                return Consent(error.public_message)
            log.warning("no approval is needed to continue", rollout=rollout.name, reason=error.public_message)
            return None
