"""What is known of a rollout's surroundings at a stage, asked of whoever knows it, and what is decided from that."""

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

# What the registry answers of a request for promotion that is over. With any other error nobody was asked.
_REFUSED = frozenset({Code.FAILED_PRECONDITION, Code.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge makes of a rollout. evidence: to keep. verdict: None for one that is not judged. bad_from: when
    the first bad answer was counted.
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
        """Take in what was answered since. Raises nothing when the monitor is away: that is a verdict too."""
        ...

    def surroundings(self, model: str) -> Surroundings:
        """Return what may keep a model's rollouts from growing."""
        ...


class Rooms(Protocol):
    """The head-room of pools, as a turn needs it."""

    async def of(self, rollout: Rollout) -> Room | None:
        """Return what there is room for; None while that is being measured. Raises nothing."""
        ...


class Observing:
    """Looks around for a rollout."""

    def __init__(self, routes: Routes, registry: Registry, judging: Judging, rooms: Rooms) -> None:
        self._routes, self._registry, self._judging, self._rooms = routes, registry, judging, rooms

    async def decided(self, rollout: Rollout, now: Callable[[], datetime]) -> Decide:
        """Return what follows from a look. Raises ServiceError while the control plane is away: that has to wait."""
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
        """Return what those say whom a rollout asks; None while they do not, or somebody else is asked."""
        if not rollout.asks or not rollout.promotion_request:
            return None
        try:
            return Consent() if await self._registry.ask_again(rollout) else None
        except ServiceError as error:
            if error.code in _REFUSED:
                return Consent(error.public_message)
            log.warning("no approval is needed to continue", rollout=rollout.name, reason=error.public_message)
            return None
