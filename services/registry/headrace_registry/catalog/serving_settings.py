"""Changing how a version is served; what is served stays as it is."""

from __future__ import annotations

from dataclasses import replace

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import refuse

from headrace_registry.catalog import writes
from headrace_registry.catalog.writes import Entry, Write
from headrace_registry.decisions import defaults, lifecycle, padded_sizes
from headrace_registry.decisions.defaults import Declared
from headrace_registry.decisions.models import Action, ServingChange, VersionRef
from headrace_registry.decisions.tokens import check_etag
from headrace_registry.storage.store import Outcome, Store, Transaction


class ServingUpdates:
    """Changes of serving settings over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def update(self, ref: VersionRef, declared: Declared, etag: str, write: Write) -> Outcome:
        """Replace what is declared of the settings; return the version and its model after that.

        Raises NotFound, Aborted (ETAG_MISMATCH), InvalidArgument, PreconditionFailed (VERSION_COLLECTED).
        """

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, ref.model)
            check_etag(model, etag)
            version = await writes.existing(transaction, ref)
            lifecycle.check_kept(version)
            after = defaults.changed(version.serving, declared)
            if version.contract.row_by_row:
                after = defaults.row_by_row(after)
            refuse(defaults.violations(after, "serving") or padded_sizes.misfits(after, version.contract, "serving"))
            if after == version.serving:
                return Outcome(model, version)
            change = ServingChange(version.serving_revision + 1, version.serving, after)
            changed = replace(version, serving=after, serving_revision=change.revision)
            if write.validate_only:
                return Outcome(model, changed)
            await transaction.set_serving(ref, after, change.revision)
            entry = Entry(Action.SERVING_CHANGED, ref.version, serving_change=change)
            return Outcome(await writes.save(transaction, model, write, [entry]), changed)

        return await writes.once(self._store, write, self._clock.now(), act)
