"""Declaring a route: what exists, whether it was asked before, the change, and the wait for its outcome."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Aborted, AlreadyExists, PreconditionFailed
from headrace_servicekit.identity import model_not_found

from headrace_router.control.decisions.changes import route_written
from headrace_router.control.decisions.named import newly_named
from headrace_router.control.decisions.routes import Route
from headrace_router.control.decisions.states import Change, RouteState, Step, Writer
from headrace_router.control.routes.contracts import Contracts
from headrace_router.control.routes.controller import Controller
from headrace_router.control.state.view import View
from headrace_router.control.state.waits import Waits
from headrace_router.control.storage.store import ChangeRecord, Request, RequestUsed, Store

# Asks the registry how far a model is and waits until that is known here; the second argument is the time left.
CatchUp = Callable[[str, float | None], Awaitable[object]]
# Holds versions of a model in the registry while they are being named; the third argument is the time left.
Keep = Callable[[str, Collection[str], float | None], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A wanted route. read_etag: of the route as the writer read it. fingerprint: of the whole request."""

    route: Route
    read_etag: str
    writer: Writer
    request_id: str
    fingerprint: bytes


class Writing:
    """The use case behind UpdateRoute."""

    def __init__(
        self,
        view: View,
        controller: Controller,
        contracts: Contracts,
        store: Store,
        waits: Waits,
        clock: Clock,
        *,
        catch_up: CatchUp,
        keep: Keep,
    ) -> None:
        self._contracts = contracts
        self._view, self._controller, self._store = view, controller, store
        self._waits, self._clock, self._catch_up, self._keep = waits, clock, catch_up, keep

    async def update(self, wanted: Declaration, time_left: Callable[[], float | None]) -> ChangeRecord:
        """Put a declared route in force and return its change, as far as possible acknowledged by the data planes.

        Raises NotFound, Aborted, PreconditionFailed, AlreadyExists (reason REQUEST_ID_REUSED), DeadlineExceeded and
        Unavailable, as the RPC says.
        """
        change = await self._repeated(wanted)
        # What the writer has read, or sent before, may have gone through another control plane a moment ago.
        await self._view.freshen()
        if change is None:
            # What the writer knows of the registry must be known here too, or it would supersede the write later.
            await self._catch_up(wanted.route.model, time_left())
            await self._contracts.learn(wanted.route)
            change = await self._begin(wanted, time_left())
        record = await self._waits.outcome(wanted.route.model, change, time_left())
        await self._waits.acknowledged(record.generation or 0, time_left())
        return record

    async def check(self, wanted: Declaration, time_left: Callable[[], float | None]) -> Change:
        """Return the change that `update` would begin, and begin none. Raises what `update` raises before it begins."""
        await self._view.freshen()
        await self._catch_up(wanted.route.model, time_left())
        await self._contracts.learn(wanted.route)
        return self._decision(wanted, uuid4())(self._known(wanted.route.model)).began[-1]

    def _known(self, model: str) -> RouteState:
        known = self._view.mirror.state(model)
        if known is None:
            raise model_not_found(model)
        return known

    def _decision(self, wanted: Declaration, change: UUID) -> Callable[[RouteState], Step]:
        now = self._clock.now()
        route = replace(wanted.route, etag=secrets.token_hex(8), updated_at=now, updated_by=wanted.writer.client)

        def decide(state: RouteState) -> Step:
            return route_written(
                state,
                route,
                read_etag=wanted.read_etag,
                change=change,
                writer=wanted.writer,
                now=now,
                fits=self._contracts.fits,
            )

        return decide

    async def _begin(self, wanted: Declaration, left_s: float | None) -> UUID:
        model, change = wanted.route.model, uuid4()
        known, decide = self._known(model), self._decision(wanted, change)
        request = (
            Request(wanted.writer.client, wanted.request_id, wanted.fingerprint, change) if wanted.request_id else None
        )
        try:
            named = newly_named(known, decide(known).state)
            async with self._keep(model, named, left_s):
                await self._controller.write(model, decide, request)
        except (RequestUsed, Aborted, PreconditionFailed):
            # The same write sent twice at once: what the second meets is what the first did.
            earlier = await self._repeated(wanted)
            if earlier is None:
                raise
            return earlier
        return change

    async def _repeated(self, wanted: Declaration) -> UUID | None:
        """Return the change that the request id began before, if any."""
        if not wanted.request_id:
            return None
        earlier = await self._store.request(wanted.writer.client, wanted.request_id)
        if earlier is None:
            return None
        if earlier.fingerprint != wanted.fingerprint or earlier.change is None:
            raise AlreadyExists(
                f"request_id '{wanted.request_id}' was used for another write", reason="REQUEST_ID_REUSED"
            )
        return earlier.change
