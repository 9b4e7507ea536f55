"""Moving versions between stages: promotions and rollbacks, each in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import PreconditionFailed

from headrace_registry.catalog import writes
from headrace_registry.catalog.writes import Entry, Write
from headrace_registry.decisions import compositions, formats, gates, lifecycle, signature
from headrace_registry.decisions.lifecycle import Change
from headrace_registry.decisions.models import Hold, Stage, Version, VersionRef
from headrace_registry.decisions.tokens import check_etag
from headrace_registry.storage.store import Outcome, Store, Transaction

ROLLOUTS = "rollouts/"
"""What the names of rollouts begin with, as holders of versions."""


@dataclass(frozen=True, slots=True)
class RolloutRule:
    """What rollouts mean to a change of production. own: the rollout that makes it. end: others end with it."""

    own: str = ""
    end: bool = False


NO_ROLLOUT = RolloutRule()


class Promotions:
    """Promotions and rollbacks over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def promote(
        self,
        ref: VersionRef,
        target: Stage,
        etag: str,
        write: Write,
        *,
        allow_incompatible: bool = False,
        rollouts: RolloutRule = NO_ROLLOUT,
        validate_only: bool = False,
    ) -> Outcome:
        """Move a version to a stage; return it and its model after the move.

        allow_incompatible: whether it may break the signature of the version in production; history tells how it does.
        validate_only: check, and change nothing.
        Raises NotFound, Aborted (ETAG_MISMATCH), PreconditionFailed (STAGE_MOVE_ILLEGAL, VERSION_COLLECTED,
        SIGNATURE_INCOMPATIBLE, PROMOTION_GATE_FAILED, NO_POOL_FOR_FORMAT, ROLLOUT_RUNNING).
        """

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, ref.model)
            check_etag(model, etag)
            version = await writes.existing(transaction, ref)
            change = lifecycle.promote(model, ref.version, version.stage, target)
            breaks: tuple[str, ...] = ()
            if change.moves and target is not Stage.ARCHIVED:
                lifecycle.check_kept(version)
            if change.moves and target is Stage.PRODUCTION:
                present = (
                    await transaction.version(VersionRef(ref.model, model.production)) if model.production else None
                )
                breaks = signature.breaks(version, present, allowed=allow_incompatible)
                gates.check(model, version, present)
                pools = await transaction.pools()
                for member in (version,) if version.composition is None else version.composition.members:
                    formats.check_pools(member, pools)
                await self._check_rollouts(transaction, model.name, rollouts)
            if change.moves and target is Stage.ARCHIVED:
                await self._check_not_needed(transaction, ref)
            if validate_only:
                return Outcome(model, version)
            return await self._apply(transaction, change, version, write, breaks)

        # A check is no write: the id of the write that follows it is not used up.
        once = replace(write, request_id="") if validate_only else write
        return await writes.once(self._store, once, self._clock.now(), act)

    async def roll_back(self, name: str, etag: str, write: Write, rollouts: RolloutRule = NO_ROLLOUT) -> Outcome:
        """Put the production version before the present one back; return it and the model after it.

        Raises NotFound, Aborted (ETAG_MISMATCH), PreconditionFailed (NOTHING_TO_ROLL_BACK_TO, ROLLOUT_RUNNING).
        """

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, name)
            check_etag(model, etag)
            await self._check_rollouts(transaction, name, rollouts)
            target = VersionRef(name, lifecycle.rollback_target(model))
            version = await writes.existing(transaction, target)
            return await self._apply(transaction, lifecycle.roll_back(model, version.stage), version, write)

        return await writes.once(self._store, write, self._clock.now(), act)

    async def _check_rollouts(self, transaction: Transaction, model: str, rule: RolloutRule) -> None:
        """Raise PreconditionFailed, reason ROLLOUT_RUNNING, for a model that a rollout other than the writer holds."""
        if rule.end:
            return
        for hold in await transaction.holds(model, self._clock.now()):
            if hold.holder.startswith(ROLLOUTS) and hold.holder != rule.own:
                told = f"model '{model}' is moved by {hold.holder}: wait for it, abort it, or set `end_rollout`"
                raise _rollout_running(told, hold)

    async def _check_not_needed(self, transaction: Transaction, ref: VersionRef) -> None:
        """Raise PreconditionFailed for a version that a rollout would promote in the end, reason ROLLOUT_RUNNING, or
        that a pipeline needs which is not archived itself, reason VERSION_IN_USE."""
        for hold in await transaction.holds(ref.model, self._clock.now()):
            if hold.ref != ref:
                continue
            pipeline = compositions.held_by(hold.holder)
            user = None if pipeline is None else await transaction.version(pipeline)
            if user is not None and user.stage is not Stage.ARCHIVED:
                told = f"version '{ref.version}' is {hold.reason}, which is in {user.stage}: archive that first"
                raise PreconditionFailed(told, reason="VERSION_IN_USE", metadata={"holder": hold.holder})
            if hold.holder.startswith(ROLLOUTS):
                told = f"version '{ref.version}' is moved by {hold.holder}: wait for it, or abort it"
                raise _rollout_running(told, hold)

    async def _apply(
        self,
        transaction: Transaction,
        change: Change,
        version: Version,
        write: Write,
        breaks: tuple[str, ...] = (),
    ) -> Outcome:
        """Write a change of which `version` is the subject. Its moves come in an order that never has two in
        production; breaks: of the signature, for the history."""
        if not change.moves:
            return Outcome(change.model, version)
        for move in change.moves:
            await transaction.move(VersionRef(version.ref.model, move.version), move.to_stage)
        entries = [Entry(move.action, move.version, move.from_stage, move.to_stage) for move in change.moves]
        entries[-1] = replace(entries[-1], signature_breaks=breaks)
        model = await writes.save(transaction, change.model, write, entries)
        return Outcome(model, replace(version, stage=change.moves[-1].to_stage))


def _rollout_running(told: str, hold: Hold) -> PreconditionFailed:
    return PreconditionFailed(told, reason="ROLLOUT_RUNNING", metadata={"rollout": hold.holder})
