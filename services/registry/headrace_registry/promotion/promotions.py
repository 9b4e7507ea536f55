"""Moving versions between stages: promotions and rollbacks, each in one transaction."""

from __future__ import annotations

from dataclasses import replace

from headrace_servicekit.clock import Clock

from headrace_registry.catalog import writes
from headrace_registry.catalog.writes import Entry, Write
from headrace_registry.decisions import gates, lifecycle, signature
from headrace_registry.decisions.lifecycle import Change
from headrace_registry.decisions.models import Stage, Version, VersionRef
from headrace_registry.decisions.tokens import check_etag
from headrace_registry.storage.store import Outcome, Store, Transaction


class Promotions:
    """Promotions and rollbacks over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def promote(
        self, ref: VersionRef, target: Stage, etag: str, write: Write, *, allow_incompatible: bool = False
    ) -> Outcome:
        """Move a version to a stage; return it and its model after the move.

        allow_incompatible: whether it may break the signature of the version in production; history tells how it does.
        Raises NotFound, Aborted (ETAG_MISMATCH), PreconditionFailed (STAGE_MOVE_ILLEGAL, VERSION_COLLECTED,
        SIGNATURE_INCOMPATIBLE, PROMOTION_GATE_FAILED).
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
            return await self._apply(transaction, change, version, write, breaks)

        return await writes.once(self._store, write, self._clock.now(), act)

    async def roll_back(self, name: str, etag: str, write: Write) -> Outcome:
        """Put the production version before the present one back; return it and the model after it.

        Raises NotFound, Aborted (ETAG_MISMATCH), PreconditionFailed (NOTHING_TO_ROLL_BACK_TO).
        """

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, name)
            check_etag(model, etag)
            target = VersionRef(name, lifecycle.rollback_target(model))
            version = await writes.existing(transaction, target)
            return await self._apply(transaction, lifecycle.roll_back(model, version.stage), version, write)

        return await writes.once(self._store, write, self._clock.now(), act)

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
