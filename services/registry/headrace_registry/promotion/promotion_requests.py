"""Requests for promotions in a transaction: what stands in their way, reading and writing them."""

from __future__ import annotations

from dataclasses import dataclass

from headrace_servicekit.errors import PreconditionFailed

from headrace_registry.catalog import writes
from headrace_registry.catalog.writes import Entry, Write
from headrace_registry.decisions import approvals, gates, signature
from headrace_registry.decisions.approvals import PromotionRequest
from headrace_registry.decisions.gates import GateResult
from headrace_registry.decisions.models import Action, Model, Stage, Version
from headrace_registry.promotion.promotions import Promotions, RolloutRule, production_of
from headrace_registry.storage.store import Outcome, Transaction


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
    """Return a request with its model and version, which nobody else changes meanwhile. Raises NotFound."""
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
