"""Promotions that others must agree to: asking, agreeing, rejecting, taking back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import AlreadyExists, PreconditionFailed, refuse

from headrace_registry.catalog import writes
from headrace_registry.catalog.writes import Entry, Write
from headrace_registry.decisions import approvals, lifecycle, signature
from headrace_registry.decisions.approvals import PromotionRequest, RequestState
from headrace_registry.decisions.models import Action, ApprovalPolicy, Model, Stage, VersionRef
from headrace_registry.decisions.tokens import check_etag
from headrace_registry.promotion.promotion_requests import Review, entry_of, keep, opened, review
from headrace_registry.promotion.promotions import Mandate, Promotions, RolloutRule, production_of
from headrace_registry.storage.store import Outcome, Store, Transaction


@dataclass(frozen=True, slots=True)
class RequestedPromotion:
    """A promotion that a caller asks for. rollout_policy: JSON; empty for a promotion without a rollout."""

    ref: VersionRef
    target: Stage
    allow_incompatible: bool = False
    rollout_policy: str = ""
    variant: str = ""


class Approvals:
    """The use cases behind ApprovalService, each in one transaction under the model's lock."""

    def __init__(self, store: Store, promotions: Promotions, clock: Clock) -> None:
        self._store, self._promotions, self._clock = store, promotions, clock

    async def put_policy(self, name: str, policy: ApprovalPolicy | None, etag: str, write: Write) -> Outcome:
        """Set or remove the policy of a model. Raises NotFound, InvalidArgument, Aborted (ETAG_MISMATCH)."""
        refuse([] if policy is None else approvals.policy_violations(policy, "policy"))

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, name)
            check_etag(model, etag)
            if model.approvals == policy:
                return Outcome(model)
            after, entry = replace(model, approvals=policy), Entry(Action.APPROVAL_POLICY_SET)
            for request in await transaction.open_promotion_requests(name):
                version = await writes.existing(transaction, request.ref)
                judged = approvals.judged_anew(request, approvals.asked(after, request.target), version.created_by)
                if judged != request:
                    await transaction.put_promotion_request(judged)
            return Outcome(await writes.save(transaction, after, write, [entry]))

        return await self._once(write, act)

    async def request(self, wanted: RequestedPromotion, write: Write) -> PromotionRequest:
        """Ask for a promotion. Raises as approval.proto says of RequestPromotion."""

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, wanted.ref.model)
            policy = approvals.asked(model, wanted.target)
            if policy is None:
                raise approvals.not_required(model, wanted.target)
            version = await writes.existing(transaction, wanted.ref)
            lifecycle.check_kept(version)
            if not lifecycle.promote(model, wanted.ref.version, version.stage, wanted.target).moves:
                message = f"version '{wanted.ref.version}' is in {wanted.target} already"
                raise PreconditionFailed(message, reason="STAGE_MOVE_ILLEGAL")
            now = await transaction.now()
            await self._check_new(transaction, wanted, now)
            breaks: tuple[str, ...] = ()
            if wanted.allow_incompatible and wanted.target is Stage.PRODUCTION:
                breaks = signature.breaks(version, await production_of(transaction, model), allowed=True)
            request = PromotionRequest(
                ref=wanted.ref,
                number=model.epoch + 1,
                target=wanted.target,
                author=write.client,
                reason=write.reason,
                create_time=now,
                expire_time=now + policy.expire_after,
                allow_incompatible=wanted.allow_incompatible,
                signature_breaks=breaks,
                rollout_policy=wanted.rollout_policy,
                variant=wanted.variant,
            )
            entry = entry_of(Action.PROMOTION_REQUESTED, request)
            return await keep(transaction, model, request, write, entry)

        return (await self._once(write, act)).promotion

    async def approve(self, name: str, number: int, write: Write) -> Outcome:
        """Agree to a request; the last approval has its effect. Raises as approval.proto says of ApprovePromotion."""

        async def act(transaction: Transaction) -> Outcome:
            model, request, version = await opened(transaction, name, number)
            now = await transaction.now()
            after = approvals.approved(request, write.client, write.reason, now)
            if after.state is not RequestState.PENDING:
                return Outcome(model, version, after)
            policy = self._policy(model, request, now)
            approvals.check_voter(write.client, request, policy, version.created_by)
            entry = entry_of(Action.PROMOTION_APPROVED, request)
            missing = approvals.missing(after, policy, version.created_by)
            if missing and after == request:
                return Outcome(model, version, request)
            if missing:
                return await keep(transaction, model, after, write, entry)
            if not after.rollout_policy:
                # Who approved before, and more is not asked for since, approves no second time.
                mandate = Mandate(after, entries=() if after == request else (entry,))
                return await self._promotions.promote_in(
                    transaction,
                    model,
                    after.ref,
                    after.target,
                    write,
                    after.allow_incompatible,
                    RolloutRule(),
                    mandate,
                )
            plan = await self._promotions.planned(
                transaction, model, after.ref, after.target, after.allow_incompatible, RolloutRule(own=after.rollout)
            )
            approvals.check_breaks(after, plan.breaks)
            return await keep(transaction, model, replace(after, state=RequestState.APPROVED), write, entry)

        return await self._once(write, act)

    async def reject(self, name: str, number: int, write: Write) -> PromotionRequest:
        """End a request without a promotion. Raises as `approve`."""

        async def act(transaction: Transaction) -> Outcome:
            model, request, version = await opened(transaction, name, number)
            now = await transaction.now()
            current = approvals.as_of(request, now)
            if not current.state.waits:
                raise approvals.closed(current)
            policy = self._policy(model, request, now)
            approvals.check_voter(write.client, request, policy, version.created_by)
            after = approvals.ended(request, RequestState.REJECTED, now, client=write.client, reason=write.reason)
            return await keep(transaction, model, after, write, entry_of(Action.PROMOTION_REJECTED, request))

        return (await self._once(write, act)).promotion

    async def withdraw(self, name: str, number: int, write: Write) -> PromotionRequest:
        """Take a request back. Raises PermissionDenied, reason NOT_THE_AUTHOR, PreconditionFailed as `approve`."""

        async def act(transaction: Transaction) -> Outcome:
            model, request, _ = await opened(transaction, name, number)
            now = await transaction.now()
            approvals.check_author(write.client, request)
            current = approvals.as_of(request, now)
            if not current.state.waits:
                raise approvals.closed(current)
            after = approvals.ended(request, RequestState.WITHDRAWN, now, client=write.client, reason=write.reason)
            return await keep(transaction, model, after, write, entry_of(Action.PROMOTION_WITHDRAWN, request))

        return (await self._once(write, act)).promotion

    async def break_glass(
        self, ref: VersionRef, target: Stage, etag: str, write: Write, *, allow_incompatible: bool, end_rollout: bool
    ) -> Outcome:
        """Promote in an emergency. Raises as `Promotions.promote`, and PreconditionFailed (BREAK_GLASS_FORBIDDEN)."""

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, ref.model)
            check_etag(model, etag)
            policy = approvals.asked(model, target)
            if policy is None:
                raise approvals.not_required(model, target)
            approvals.check_emergency(model, policy)
            entry = Entry(Action.APPROVAL_OVERRIDDEN, ref.version)
            mandate = Mandate(emergency=True, entries=(entry,))
            rule = RolloutRule(end=end_rollout)
            return await self._promotions.promote_in(
                transaction, model, ref, target, write, allow_incompatible, rule, mandate
            )

        return await self._once(write, act)

    async def claim(self, name: str, number: int, rollout: str) -> PromotionRequest:
        """Bind an approved request to a rollout. Raises PreconditionFailed (PROMOTION_REQUEST_CLOSED or _EXPIRED)."""
        async with self._store.transaction() as transaction:
            _, request, _ = await opened(transaction, name, number)
            after = approvals.claimed(request, rollout, await transaction.now())
            if after != request:
                await transaction.put_promotion_request(after)
            return after

    async def roll_out(self, name: str, number: int, rollout: str, client: str) -> PromotionRequest:
        """End a request whose rollout has reached its end and promotes nothing. Raises as `claim`."""
        async with self._store.transaction() as transaction:
            model, request, _ = await opened(transaction, name, number)
            after = approvals.rolled_out(request, rollout, await transaction.now())
            if after != request:
                write = Write(client, after.end_reason)
                await keep(transaction, model, after, write, entry_of(Action.PROMOTION_ROLLED_OUT, after))
            return after

    async def reopen(self, name: str, number: int, rollout: str, write: Write) -> PromotionRequest:
        """Require all approvals again for a rollout that has begun. Raises as `claim`."""
        async with self._store.transaction() as transaction:
            model, request, _ = await opened(transaction, name, number)
            policy = approvals.asked(model, request.target)
            if policy is None:
                raise approvals.not_required(model, request.target)
            after = approvals.reopened(request, rollout, policy, await transaction.now())
            if after != request:
                await keep(transaction, model, after, write, entry_of(Action.PROMOTION_REQUESTED, after))
            return after

    async def read(self, name: str, number: int) -> tuple[PromotionRequest, Review | None]:
        """Return a request and its review, None for a request that is over. Raises NotFound."""
        async with self._store.transaction() as transaction:
            model, request, version = await opened(transaction, name, number)
            current = approvals.as_of(request, await transaction.now())
            return current, None if current.state.over else await review(
                transaction, self._promotions, model, current, version
            )

    async def review(self, ref: VersionRef, target: Stage) -> Review:
        """Return what a promotion would be asked now. Raises NotFound."""
        async with self._store.transaction() as transaction:
            model, now = await writes.locked(transaction, ref.model), await transaction.now()
            version = await writes.existing(transaction, ref)
            nobodys = PromotionRequest(ref, 0, target, author="", reason="", create_time=now, expire_time=now)
            return await review(transaction, self._promotions, model, nobodys, version)

    async def _once(self, write: Write, act: Callable[[Transaction], Awaitable[Outcome]]) -> Outcome:
        return await writes.once(self._store, write, self._clock.now(), act)

    def _policy(self, model: Model, request: PromotionRequest, now: datetime) -> ApprovalPolicy:
        current = approvals.as_of(request, now)
        if current.state.over:
            raise approvals.closed(current)
        policy = approvals.asked(model, request.target)
        if policy is None:
            raise approvals.not_required(model, request.target)
        return policy

    async def _check_new(self, transaction: Transaction, wanted: RequestedPromotion, now: datetime) -> None:
        """Raise AlreadyExists, reason PROMOTION_REQUESTED, or ResourceExhausted, unless a request may be made."""
        others = [approvals.as_of(one, now) for one in await transaction.open_promotion_requests(wanted.ref.model)]
        others = [one for one in others if not one.state.over]
        for one in others:
            if (one.ref, one.target) == (wanted.ref, wanted.target):
                message = (
                    f"the promotion of '{wanted.ref.version}' is asked for by request {one.number} of '{one.author}'"
                )
                raise AlreadyExists(message, reason="PROMOTION_REQUESTED", metadata={"promotion_request": one.name})
        approvals.check_room(wanted.ref.model, wanted.ref.version, others)
