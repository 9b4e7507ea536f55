"""Promotion requests in a transaction: their reviews, reads and writes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from headrace_servicekit.errors import PreconditionFailed, ServiceError, Unavailable

from headrace_registry.catalog import writes
from headrace_registry.catalog.writes import Entry, Write
from headrace_registry.decisions import approvals, gates, signature
from headrace_registry.decisions.approvals import PromotionRequest, RequestState
from headrace_registry.decisions.gates import GateResult
from headrace_registry.decisions.models import Action, Model, Stage, Version
from headrace_registry.promotion.promotions import Promotions, RolloutRule, production_of
from headrace_registry.storage.store import Outcome, Store, Transaction


@dataclass(frozen=True, slots=True)
class Review:
    """What would be asked of a request if it took effect now."""

    missing: int
    gates: tuple[GateResult, ...]
    production: str
    breaks: tuple[str, ...]
    additions: tuple[str, ...]
    obstacles: tuple[str, ...]


async def review(
    transaction: Transaction, promotions: Promotions, model: Model, request: PromotionRequest, version: Version
) -> Review:
    """Return what would be asked of a request if it took effect now."""
    present = await production_of(transaction, model) if request.target is Stage.PRODUCTION else None
    asked = gates.asked_of(model, version) if request.target is Stage.PRODUCTION else ()
    policy = approvals.asked(model, request.target)
    obstacles: list[str] = []
    try:
        rule = RolloutRule(own=request.rollout)
        plan = await promotions.planned(
            transaction, model, request.ref, request.target, request.allow_incompatible, rule
        )
        approvals.check_breaks(request, plan.breaks)
    except PreconditionFailed as error:
        obstacles.append(error.public_message)
    return Review(
        missing=0 if policy is None else approvals.missing(request, policy, version.created_by),
        gates=tuple(gates.results(asked, version, present)),
        production=model.production,
        breaks=signature.breaks(version, present, allowed=True),
        additions=() if present is None else signature.additions(present.contract, version.contract),
        obstacles=tuple(obstacles),
    )


async def opened(transaction: Transaction, name: str, number: int) -> tuple[Model, PromotionRequest, Version]:
    """Return a request with its model and version, locked until the transaction ends. Raises NotFound."""
    model = await writes.locked(transaction, name)
    request = await transaction.promotion_request(name, number)
    if request is None:
        raise approvals.unknown(name, number)
    return model, request, await writes.existing(transaction, request.ref)


async def keep(
    transaction: Transaction, model: Model, request: PromotionRequest, write: Write, entry: Entry
) -> Outcome:
    """Write a request, and a model's entry of what became of it."""
    await transaction.put_promotion_request(request)
    after = await writes.save(transaction, model, write, [entry])
    return Outcome(after, await transaction.version(request.ref), request)


def entry_of(action: Action, request: PromotionRequest) -> Entry:
    """Return an entry of the history about a request."""
    return Entry(action, request.ref.version, promotion_request=request.number)


# Requesters wait to hear of an expiry.
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
                        message = f"{current.rollout} ended without a promotion"
                        after = approvals.ended(current, RequestState.FAILED, now, reason=message)
                if after == current:
                    return False
                action = Action.PROMOTION_EXPIRED if after.state is RequestState.EXPIRED else Action.PROMOTION_FAILED
                write = Write("registry", after.end_reason)
                await keep(transaction, model, after, write, entry_of(action, after))
                return True
        return False
