"""Leases: versions that a client needs ready for a while, whether a route names them or not."""

from __future__ import annotations

from datetime import datetime, timedelta

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import NotFound
from headrace_servicekit.identity import model_not_found

from headrace_router.control.decisions.demand import Lease
from headrace_router.control.decisions.readiness import Needed, Readiness
from headrace_router.control.decisions.states import members_in
from headrace_router.control.routes.writes import CatchUp, Keep
from headrace_router.control.state.view import View
from headrace_router.control.storage.store import Store


class Leases:
    """The use case behind LeaseVersion."""

    def __init__(self, view: View, store: Store, clock: Clock, *, catch_up: CatchUp, keep: Keep) -> None:
        self._view, self._store, self._clock, self._catch_up, self._keep = view, store, clock, catch_up, keep

    async def lease(
        self, model: str, version: str, pool: str, holder: str, ttl: timedelta, left_s: float | None
    ) -> tuple[datetime | None, Readiness]:
        """Keep a version in demand for `ttl`, zero to end that; return when the lease ends, and how far the pool is.

        Raises NotFound, reason MODEL_NOT_FOUND or VERSION_NOT_FOUND, PreconditionFailed, reason VERSION_COLLECTED, and
        Unavailable.
        """
        digest = self._digest(model, version)
        if digest is None:  # perhaps registered a moment ago
            await self._catch_up(model, left_s)
            digest = self._digest(model, version)
        if self._view.mirror.state(model) is None:
            raise model_not_found(model)
        if digest is None:
            raise NotFound(f"model '{model}' has no version '{version}'", reason="VERSION_NOT_FOUND")
        expires_at = self._clock.now() + ttl
        async with self._keep(model, (version,) if ttl > timedelta(0) else (), left_s):
            await self._store.put_lease(Lease(model, version, digest, pool, holder, expires_at), ttl)
            await self._view.read()
        self._view.demand.refresh()
        state = self._view.mirror.state(model)
        members = () if state is None else state.registered.members.get(digest, ())
        readiness = self._view.fleet().readiness_of_all(Needed(version, digest, pool), members_in(members, pool))
        return (expires_at if ttl > timedelta(0) else None), readiness

    def _digest(self, model: str, version: str) -> str | None:
        state = self._view.mirror.state(model)
        return None if state is None else state.registered.versions.get(version)
