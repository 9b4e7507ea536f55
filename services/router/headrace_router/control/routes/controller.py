"""The control plane's one writer in this process: decides on a route, and makes the decision durable.

Every event ends in `_apply`: decide on the state as known, commit on condition that it is still the state, and read
back what the store has, so that this process and any other see every change in the same order.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable
from uuid import uuid4

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Unavailable

from headrace_router.control.decisions import changes
from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.decisions.states import RouteState, Step
from headrace_router.control.metrics import ControlMetrics
from headrace_router.control.registry.news import Listing, RegistryNews
from headrace_router.control.state.view import View
from headrace_router.control.storage.store import Conflict, Request, RequestUsed, Store

log = structlog.get_logger()

# Between looks at the store without any notification.
POLL_S = 1.0
_TRIES = 10

Decide = Callable[[RouteState | None], Step | None]


class Controller:
    """`run` decides for ever on what the registry, batchers and time bring; `write` on what people declare."""

    def __init__(self, view: View, store: Store, news: RegistryNews, clock: Clock, metrics: ControlMetrics) -> None:
        self._view, self._store, self._news, self._clock, self._metrics = view, store, news, clock, metrics
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._wakeup = Wakeup()
        self._store_is_there = False
        news.on_news = self.wake

    def wake(self) -> None:
        """Look at everything soon: something happened."""
        self._wakeup.wake()

    async def run(self) -> None:
        """Follow the store, the registry's news and the batchers for ever; without the store what is known stays."""
        while True:
            try:
                await self.turn()
                self._note_store(True)
            except Unavailable as error:
                self._note_store(False, error.public_message)
            await self._wakeup.wait(POLL_S)

    async def turn(self) -> None:
        """Do once all that can be done now. Raises Unavailable; leases and demand are up to date even then."""
        try:
            await self._view.read()
            if self._news.listing is not None:
                await self._take_listing(self._news.listing)
            await self._take_news()
            await self._advance()
        finally:
            self._view.demand.refresh()
            self._view.changed.wake()

    async def write(self, model: str, decide: Callable[[RouteState], Step], request: Request | None) -> Step:
        """Decide on a route and make it durable. Raises what `decide` raises, RequestUsed and Unavailable."""

        def decide_and_advance(state: RouteState | None) -> Step | None:
            if state is None or state.removed:
                return None
            return self._advanced(decide(state))

        step = await self._apply(model, decide_and_advance, request)
        if step is None:
            raise Unavailable(f"model '{model}' was removed just now", reason="MODEL_CHANGED", retry_after_s=0.1)
        return step

    async def _take_listing(self, listing: Listing) -> None:
        """Find the models that a snapshot of the registry did not list.

        What the same incarnation of the registry knew before has been removed, once the registry confirms it: another
        control plane may have heard of a model that is younger than the snapshot. What another incarnation knew may be
        missing from a backup: it keeps serving, and its status says so.
        """
        unlisted = [state for state in self._view.mirror.states() if state.model not in listing.models]
        for state in unlisted:
            if state.registered.incarnation == listing.incarnation and await listing.is_gone(state.model):
                self._news.removed(state.model)
        vanished = {state.model for state in unlisted if state.registered.incarnation != listing.incarnation}
        if vanished:
            log.warning("the registry no longer lists models that serve", models=sorted(vanished)[:20])
        self._view.vanished = frozenset(vanished)
        self._news.listing_taken(listing)

    async def _take_news(self) -> None:
        # Both at one moment: a word on a model that comes while versions are being stored names later versions.
        news, versions = self._news.models(), self._news.versions()
        fresh = [one for one in versions if self._view.mirror.is_news(one)]
        if fresh:
            await self._store.put_versions(fresh)
            self._view.mirror.add_versions(fresh)
        self._news.versions_taken(versions)
        for model, registered in news:
            await self._apply(model, self._registry_decision(registered), read_back=False)
            self._news.model_taken(model, registered)
        if news or fresh:
            await self._view.read()

    async def _advance(self) -> None:
        for model in [state.model for state in self._view.mirror.states() if state.pending is not None]:
            await self._apply(model, lambda state: self._advanced(Step(state)) if state is not None else None)

    def _registry_decision(self, registered: Registered | None) -> Decide:
        def decide(state: RouteState | None) -> Step | None:
            if registered is None:
                return None if state is None or state.removed else changes.removed(state)
            step = changes.registry_seen(
                state,
                registered,
                salt=secrets.token_bytes(16),
                now=self._clock.now(),
                new_id=uuid4,
                revert=self._view.timing.revert,
            )
            return self._advanced(step) if step is not None else None

        return decide

    def _advanced(self, step: Step) -> Step:
        limits = self._view.timing.limits
        return changes.advance(step, self._view.fleet(), now=self._clock.now(), limits=limits, new_id=uuid4)

    async def _apply(
        self, model: str, decide: Decide, request: Request | None = None, *, read_back: bool = True
    ) -> Step | None:
        """Decide and commit until the state decided on is still the state. None when there was nothing to do.

        read_back: False when the caller reads what came of many steps at once.
        """
        async with self._locks[model]:
            for _ in range(_TRIES):
                record = self._view.mirror.records.get(model)
                step = decide(record.state if record is not None else None)
                if step is None or (record is not None and step == Step(record.state)):
                    return step
                revision = record.revision if record is not None else None
                try:
                    await self._store.commit(revision, step, self._clock.now(), request)
                except RequestUsed:
                    raise
                except Conflict:
                    await self._view.read()
                    continue
                self._account(step)
                if read_back:
                    await self._view.read()
                return step
        raise Unavailable(f"too many writers of '{model}'", reason="CONTENDED", retry_after_s=0.5)

    def _account(self, step: Step) -> None:
        for ended in step.ended:
            self._metrics.change_ended(ended.outcome)
            log.info(
                "change ended",
                model=step.state.model,
                change=str(ended.change.id),
                kind=ended.change.kind.value,
                outcome=ended.outcome.value,
                reason=ended.reason or None,
            )

    def _note_store(self, is_there: bool, reason: str = "") -> None:
        if is_there != self._store_is_there:
            log.log(20 if is_there else 30, "the store is there" if is_there else "the store is away", reason=reason)
        self._store_is_there = is_there
