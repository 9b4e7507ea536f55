"""The turns of one rollout: observe, decide, store the decision, act. Every act is idempotent, so that the controller
that takes over after a crash reaches the same result.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Code, ServiceError, Unavailable
from headrace_servicekit.postgres.connections import Transactions

from headrace_rollout.decisions import progress, routes
from headrace_rollout.decisions.rollouts import Rollout, State, Transition
from headrace_rollout.peers import Routes, Written, lack_of, route_of
from headrace_rollout.registry import Registry
from headrace_rollout.store import Decide, Store
from headrace_rollout.surroundings import Judging, Observing, Rooms

log = structlog.get_logger()

RENEW_EVERY_S = 20.0
# Reasons of the control plane after which the write may be retried under a new request id.
_DROPPED = frozenset({"VERSION_NOT_READY", "SUPERSEDED", "REQUEST_ID_REUSED"})
_STALE = frozenset({"ETAG_MISMATCH", "ROUTE_MANAGED"})
_LATER = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.CANCELLED, Code.INTERNAL})


class Runner:
    """Runs the turns of one rollout. leader: the lease under which it writes."""

    def __init__(
        self,
        store: Store,
        leader: Transactions,
        routes: Routes,
        registry: Registry,
        judging: Judging,
        rooms: Rooms,
        clock: Clock,
    ) -> None:
        self._store, self._leader, self._routes, self._registry = store, leader, routes, registry
        self._judging, self._rooms, self._clock = judging, rooms, clock
        self._observing = Observing(routes, registry, judging, rooms)
        self._renewed_at = -math.inf
        self._read_at, self._now_then = 0.0, datetime.fromtimestamp(0, UTC)

    async def turn(self, rollout: Rollout, now: datetime) -> Rollout:
        """Run one turn; return the rollout after it. Raises ServiceError if the turn has to be retried later.

        now: read time of the rollout by the database's clock; the process's monotonic clock only measures from there.
        """
        self._read_at, self._now_then = self._clock.monotonic(), now
        match rollout.state:
            case State.PREPARING:
                return await self._prepare(rollout)
            case State.SHADOWING | State.RUNNING if rollout.moving:
                return await self._move(rollout)
            case State.SHADOWING | State.RUNNING:
                return await self._look(rollout)
            case State.ROLLING_BACK:
                return await self._take_back(rollout)
            case State.PROMOTING:
                return await self._promote(rollout)
        return rollout

    async def _prepare(self, rollout: Rollout) -> Rollout:
        asked = "registry"
        try:
            # Hold before the claim: the registry takes a request whose rollout has no hold for one that has ended.
            await self._registry.hold(rollout)
            await self._registry.claim(rollout)
            asked = "control plane"
            readiness = [await self._routes.lease(rollout, one) for one in (rollout.version, rollout.baseline)]
        except ServiceError as error:
            # gRPC's error of an unavailable peer does not name it.
            message = f"{asked}: {error.public_message}"
            then = progress.prepared if error.code in _LATER else progress.refused
            return await self._keep(rollout, lambda one, now: then(one, message, now))
        self._renewed_at = self._clock.monotonic()
        missing = next((missing for one in readiness if (missing := lack_of(one))), "")
        room = None if missing or rollout.policy.shadow is not None else await self._rooms.of(rollout)
        around, consent = self._judging.surroundings(rollout.model), await self._observing.consent(rollout)
        return await self._keep(rollout, lambda one, now: progress.prepared(one, missing, now, room, around, consent))

    async def _move(self, rollout: Rollout) -> Rollout:
        await self._renew(rollout)
        if not rollout.evidence and rollout.judged:
            # Counting starts before the first request: without counts the version gets no traffic.
            evidence = await self._judging.begin(rollout, self._now())
            return await self._keep(rollout, lambda one, _: Transition(replace(one, evidence=evidence)))
        try:
            written = await self._routes.write(rollout, routes.staged(route_of(rollout.original), rollout))
        except ServiceError as error:
            return await self._not_written(rollout, error)
        return await self._acknowledged(rollout, written, lambda one, now: progress.moved(one, written.etag, now))

    async def _look(self, rollout: Rollout) -> Rollout:
        await self._renew(rollout)
        return await self._keep(rollout, await self._observing.decided(rollout, self._now))

    async def _take_back(self, rollout: Rollout) -> Rollout:
        try:
            written = await self._routes.write(rollout, route_of(rollout.original), release=True)
        except ServiceError as error:
            return await self._not_written(rollout, error)
        await self._let_go(rollout)
        return await self._acknowledged(rollout, written, lambda one, now: progress.taken_back(one, now))

    async def _promote(self, rollout: Rollout) -> Rollout:
        await self._renew(rollout)
        if not rollout.registry_done:
            try:
                await self._registry.promote(rollout)
            except ServiceError as error:
                if error.code in _LATER or error.code is Code.ABORTED:
                    raise
                message = error.public_message
                return await self._keep(rollout, lambda one, now: progress.promotion_refused(one, message, now))
            return await self._keep(rollout, lambda one, _: progress.registry_promoted(one))
        route = routes.promoted(route_of(rollout.original), rollout.variant, rollout.version)
        try:
            written = await self._routes.write(rollout, route, release=True)
        except ServiceError as error:
            return await self._not_written(rollout, error)
        await self._let_go(rollout)
        return await self._acknowledged(rollout, written, lambda one, now: progress.succeeded(one, now))

    async def _acknowledged(self, rollout: Rollout, written: Written, then: Decide) -> Rollout:
        """Apply `then` once every connected data plane has the route. Raises Unavailable before."""
        if written.waiting:
            raise Unavailable(f"waits for data planes: {', '.join(written.waiting)}")
        if written.cut_off:
            log.warning("data planes are cut off", rollout=rollout.name, data_planes=written.cut_off)
        return await self._keep(rollout, then)

    async def _let_go(self, rollout: Rollout) -> None:
        """Release the registry's hold before the rollout ends, so that the next one can start as soon as it has.

        If the registry is away, `Releasing` retries.
        """
        with contextlib.suppress(ServiceError):
            await self._registry.release(rollout)

    async def _not_written(self, rollout: Rollout, error: ServiceError) -> Rollout:
        """Return the rollout after a failed write. Raises the error if the write has to be retried later."""
        if error.code in _LATER:
            raise error
        if error.reason in _DROPPED:
            message = error.public_message
            return await self._keep(rollout, lambda one, _: progress.write_dropped(one, message))
        if error.reason in _STALE:
            route, _ = await self._routes.route(rollout.model)
            if route.managed_by != rollout.manager:
                return await self._keep(rollout, lambda one, now: progress.displaced(one, route.managed_by, now))
            # Only this rollout writes under this manager: its own write succeeded, and the answer was lost.
            return await self._keep(rollout, lambda one, _: progress.write_adopted(one, route.etag))
        if error.reason == "MODEL_NOT_FOUND":
            return await self._keep(rollout, progress.gone)
        if rollout.state is State.ROLLING_BACK:
            raise error
        message = error.public_message
        return await self._keep(rollout, lambda one, now: progress.refused(one, message, now))

    async def _renew(self, rollout: Rollout) -> None:
        """Keep both versions loaded: a rollback needs no load."""
        if self._clock.monotonic() - self._renewed_at < RENEW_EVERY_S:
            return
        try:
            for version in (rollout.version, rollout.baseline):
                await self._routes.lease(rollout, version)
            await self._registry.hold(rollout)
        except ServiceError as error:
            # The route names both versions too, which keeps them loaded.
            log.warning("not leased", rollout=rollout.name, reason=error.public_message)
        self._renewed_at = self._clock.monotonic()

    async def _keep(self, rollout: Rollout, decide: Decide) -> Rollout:
        """Store the decision unless the rollout changed meanwhile: then the next turn decides again."""

        def unless_changed(one: Rollout, now: datetime) -> Transition:
            return decide(one, now) if one.revision == rollout.revision else Transition(one)

        after = await self._store.change(rollout.id, unless_changed, by=self._leader)
        if after.state.over and rollout.state not in (State.ROLLING_BACK, State.PROMOTING):  # these have released it
            await self._let_go(after)
        return after

    def _now(self) -> datetime:
        return self._now_then + timedelta(seconds=self._clock.monotonic() - self._read_at)
