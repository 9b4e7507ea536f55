"""Moving versions between stages: promotions and rollbacks, each in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import PreconditionFailed

from headrace_registry.artifacts.signatures import Signatures
from headrace_registry.catalog import writes
from headrace_registry.catalog.writes import Entry, Write
from headrace_registry.decisions import approvals, compositions, formats, gates, lifecycle, signature
from headrace_registry.decisions.approvals import PromotionRequest, RequestState
from headrace_registry.decisions.lifecycle import Change
from headrace_registry.decisions.models import Hold, Model, PoolFormats, Stage, Version, VersionRef
from headrace_registry.decisions.tokens import check_etag
from headrace_registry.storage.store import Outcome, Store, Transaction

ROLLOUTS = "rollouts/"
"""What the names of rollouts begin with, as holders of versions."""


@dataclass(frozen=True, slots=True)
class RolloutRule:
    """What rollouts mean to a change of production. own: the rollout that makes it. end: others end with it.

    request: number of the approved request that `own` would claim, for a check before it is there. measured_later:
    patterns of metrics that `own` measures itself, for such a check.
    """

    own: str = ""
    end: bool = False
    request: int = 0
    measured_later: tuple[str, ...] = ()


NO_ROLLOUT = RolloutRule()


@dataclass(frozen=True, slots=True)
class Mandate:
    """What lets a promotion happen that others must agree to: the request that they agreed to, or an emergency.

    entries: lines that the history has before those of the promotion.
    """

    request: PromotionRequest | None = None
    emergency: bool = False
    entries: tuple[Entry, ...] = ()

    @property
    def allows_incompatible(self) -> bool:
        """Whether differences to the signature in production were agreed to."""
        return self.request is not None and self.request.allow_incompatible


NO_MANDATE = Mandate()


@dataclass(frozen=True, slots=True)
class Plan:
    """A change of which `version` is the subject. breaks: of the signature in production, which are allowed."""

    change: Change
    version: Version
    breaks: tuple[str, ...] = ()


class Promotions:
    """Promotions and rollbacks over a store. signatures: None where no signing policy applies."""

    def __init__(self, store: Store, clock: Clock, signatures: Signatures | None = None) -> None:
        self._store, self._clock, self._signatures = store, clock, signatures

    async def report_pools(self, pools: Sequence[PoolFormats]) -> None:
        """Replace what is known of the pools that promoted versions must run in. Raises Unavailable."""
        await self._store.put_pools(pools)

    async def promote(
        self,
        ref: VersionRef,
        target: Stage,
        etag: str,
        write: Write,
        *,
        allow_incompatible: bool = False,
        rollouts: RolloutRule = NO_ROLLOUT,
    ) -> Outcome:
        """Move a version to a stage; return it and its model after the move.

        allow_incompatible: whether it may break the signature of the version in production; history tells how it does.
        Raises NotFound, Aborted (ETAG_MISMATCH), PreconditionFailed (STAGE_MOVE_ILLEGAL, VERSION_COLLECTED,
        SIGNATURE_INCOMPATIBLE, PROMOTION_GATE_FAILED, NO_POOL_FOR_FORMAT, ROLLOUT_RUNNING, APPROVAL_REQUIRED,
        NOT_SIGNED, SIGNATURE_INVALID, CERTIFICATE_EXPIRED, SIGNER_NOT_TRUSTED, SIGNER_REVOKED).
        """

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, ref.model)
            check_etag(model, etag)
            if write.validate_only:
                mandate = await self._mandate(transaction, model, ref, target, rollouts)
                allow = allow_incompatible or mandate.allows_incompatible
                plan = await self.planned(transaction, model, ref, target, allow, rollouts)
                self._check_mandate(model, plan, target, mandate)
                return Outcome(model, plan.version)
            return await self.promote_in(transaction, model, ref, target, write, allow_incompatible, rollouts)

        return await writes.once(self._store, write, self._clock.now(), act)

    async def promote_in(
        self,
        transaction: Transaction,
        model: Model,
        ref: VersionRef,
        target: Stage,
        write: Write,
        allow_incompatible: bool,
        rollouts: RolloutRule,
        mandate: Mandate = NO_MANDATE,
    ) -> Outcome:
        """Move a version of a locked model in the caller's transaction. Raises as `promote`, but for the etag."""
        if mandate is NO_MANDATE:
            mandate = await self._mandate(transaction, model, ref, target, rollouts)
        allow = allow_incompatible or mandate.allows_incompatible
        plan = await self.planned(transaction, model, ref, target, allow, rollouts)
        self._check_mandate(model, plan, target, mandate)
        request = mandate.request
        if request is not None:
            done = approvals.ended(request, RequestState.PROMOTED, await transaction.now(), client=write.client)
            await transaction.put_promotion_request(done)
            request = done
        return replace(await self._apply(transaction, plan, write, mandate), request=request)

    async def planned(
        self,
        transaction: Transaction,
        model: Model,
        ref: VersionRef,
        target: Stage,
        allow_incompatible: bool,
        rollouts: RolloutRule,
    ) -> Plan:
        """Return what a promotion of a version of a locked model would change; whether others agree is asked apart.

        Raises NotFound and PreconditionFailed as `promote`.
        """
        version = await writes.existing(transaction, ref)
        change = lifecycle.promote(model, ref.version, version.stage, target)
        breaks: tuple[str, ...] = ()
        if change.moves and target is not Stage.ARCHIVED:
            lifecycle.check_kept(version)
        if change.moves and self._signatures is not None:
            await self._signatures.check(version, target)
        if change.moves and target is Stage.PRODUCTION:
            present = await production_of(transaction, model)
            breaks = signature.breaks(version, present, allowed=allow_incompatible)
            gates.check(model, version, present, rollouts.measured_later)
            pools = await transaction.pools()
            for member in (version,) if version.composition is None else version.composition.members:
                formats.check_pools(member, pools)
            await self._check_rollouts(transaction, model.name, rollouts)
        if change.moves and target is Stage.ARCHIVED:
            await self._check_not_needed(transaction, ref)
        return Plan(change, version, breaks)

    async def roll_back(self, name: str, etag: str, write: Write, rollouts: RolloutRule = NO_ROLLOUT) -> Outcome:
        """Put the production version before the present one back; return it and the model after it.

        Raises NotFound, Aborted (ETAG_MISMATCH), PreconditionFailed (NOTHING_TO_ROLL_BACK_TO, ROLLOUT_RUNNING, and of
        its signature as `promote`).
        """

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, name)
            check_etag(model, etag)
            await self._check_rollouts(transaction, name, rollouts)
            target = VersionRef(name, lifecycle.rollback_target(model))
            version = await writes.existing(transaction, target)
            if self._signatures is not None:
                await self._signatures.check(version, Stage.PRODUCTION)
            return await self._apply(transaction, Plan(lifecycle.roll_back(model, version.stage), version), write)

        return await writes.once(self._store, write, self._clock.now(), act)

    async def _mandate(
        self, transaction: Transaction, model: Model, ref: VersionRef, target: Stage, rollouts: RolloutRule
    ) -> Mandate:
        """Return what lets a promotion happen that a rollout makes."""
        if approvals.asked(model, target) is None or not rollouts.own:
            return NO_MANDATE
        now = await transaction.now()
        for request in await transaction.open_promotion_requests(model.name):
            current = approvals.as_of(request, now)
            if (current.ref, current.target) != (ref, target):
                continue
            claimed = current.state is RequestState.ROLLING_OUT and current.rollout == rollouts.own
            if claimed or (current.state is RequestState.APPROVED and current.number == rollouts.request):
                return Mandate(request)
        return NO_MANDATE

    def _check_mandate(self, model: Model, plan: Plan, target: Stage, mandate: Mandate) -> None:
        """Raise PreconditionFailed, reason APPROVAL_REQUIRED, for a promotion that nothing lets happen, and
        SIGNATURE_INCOMPATIBLE for one that breaks more than was agreed to."""
        if mandate.request is not None:
            approvals.check_breaks(mandate.request, plan.breaks)
        elif plan.change.moves and not mandate.emergency and approvals.asked(model, target) is not None:
            raise approvals.required(model, plan.version.ref.version, target)

    async def _check_rollouts(self, transaction: Transaction, model: str, rule: RolloutRule) -> None:
        """Raise PreconditionFailed, reason ROLLOUT_RUNNING, for a model that a rollout other than the writer holds."""
        if rule.end:
            return
        for hold in await transaction.holds(model, self._clock.now()):
            if hold.holder.startswith(ROLLOUTS) and hold.holder != rule.own:
                message = f"model '{model}' is moved by {hold.holder}: wait for it, abort it, or set `end_rollout`"
                raise _rollout_running(message, hold)

    async def _check_not_needed(self, transaction: Transaction, ref: VersionRef) -> None:
        """Raise PreconditionFailed for a version that a rollout would promote in the end, reason ROLLOUT_RUNNING, or
        that a pipeline needs which is not archived itself, reason VERSION_IN_USE."""
        for hold in await transaction.holds(ref.model, self._clock.now()):
            if hold.ref != ref:
                continue
            pipeline = compositions.held_by(hold.holder)
            user = None if pipeline is None else await transaction.version(pipeline)
            if user is not None and user.stage is not Stage.ARCHIVED:
                message = f"version '{ref.version}' is {hold.reason}, which is in {user.stage}: archive that first"
                raise PreconditionFailed(message, reason="VERSION_IN_USE", metadata={"holder": hold.holder})
            if hold.holder.startswith(ROLLOUTS):
                message = f"version '{ref.version}' is moved by {hold.holder}: wait for it, or abort it"
                raise _rollout_running(message, hold)

    async def _apply(
        self, transaction: Transaction, plan: Plan, write: Write, mandate: Mandate = NO_MANDATE
    ) -> Outcome:
        """Write a change. Its moves come in an order that never has two in production."""
        change, version = plan.change, plan.version
        entries = list(mandate.entries)
        for move in change.moves:
            await transaction.move(VersionRef(version.ref.model, move.version), move.to_stage)
            entries.append(Entry(move.action, move.version, move.from_stage, move.to_stage))
        if not change.moves and (mandate.emergency or not entries):
            return Outcome(change.model, version)
        if change.moves:
            number = 0 if mandate.request is None else mandate.request.number
            entries[-1] = replace(entries[-1], signature_breaks=plan.breaks, promotion_request=number)
            version = replace(version, stage=change.moves[-1].to_stage)
        return Outcome(await writes.save(transaction, change.model, write, entries), version)


async def production_of(transaction: Transaction, model: Model) -> Version | None:
    """Return the version of a locked model that is in production."""
    return await transaction.version(VersionRef(model.name, model.production)) if model.production else None


def _rollout_running(message: str, hold: Hold) -> PreconditionFailed:
    return PreconditionFailed(message, reason="ROLLOUT_RUNNING", metadata={"rollout": hold.holder})
