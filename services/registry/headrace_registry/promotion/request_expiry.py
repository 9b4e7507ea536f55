"""Requests for promotions that nobody answers, or whose rollout is over: they end by themselves."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from headrace_servicekit.errors import ServiceError, Unavailable

from headrace_registry.catalog.writes import Write
from headrace_registry.decisions import approvals
from headrace_registry.decisions.approvals import PromotionRequest, RequestState
from headrace_registry.decisions.models import Action
from headrace_registry.promotion.promotion_requests import entry_of, keep, opened
from headrace_registry.storage.store import Store

# Somebody waits to hear of what expires.
SWEEP_EVERY_S = 15.0
# Requests that a pass looks at in one read.
_PAGE = 500


class RequestExpiry:
    """Every replica may expire: each request ends under its model's lock."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def sweep(self) -> None:
        """Expire, unless the store is away: then the next pass does it."""
        with suppress(Unavailable):
            await self.expire()

    async def expire(self) -> int:
        """Write of requests that waited for too long, or whose rollout is over, that they are; return how many."""
        count = 0
        async with self._store.transaction() as transaction:
            now = await transaction.now()
        for state in approvals.OPEN:
            after = ("", 0)
            while found := await self._store.promotion_requests("", state, after=after, limit=_PAGE):
                for request in found:
                    if request.rollout or approvals.as_of(request, now).state.over:
                        count += await self._expire_one(request)
                after = (found[-1].ref.model, found[-1].number)
        return count

    async def _expire_one(self, request: PromotionRequest) -> bool:
        with suppress(ServiceError):
            async with self._store.transaction() as transaction:
                model, current, _ = await opened(transaction, request.ref.model, request.number)
                now = await transaction.now()
                after = approvals.as_of(current, now)
                if current.rollout and not after.state.over:
                    held = await transaction.holds(request.ref.model, datetime.min.replace(tzinfo=now.tzinfo))
                    if not any(hold.holder == current.rollout for hold in held):
                        told = f"{current.rollout} ended without a promotion"
                        after = approvals.ended(current, RequestState.FAILED, now, reason=told)
                if after == current:
                    return False
                action = Action.PROMOTION_EXPIRED if after.state is RequestState.EXPIRED else Action.PROMOTION_FAILED
                write = Write("registry", after.end_reason)
                await keep(transaction, model, after, write, entry_of(action, after))
                return True
        return False
