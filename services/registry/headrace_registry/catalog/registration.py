"""Making models and versions, and what people may change of them: description, labels, gates, aliases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import AlreadyExists, FieldViolation, PreconditionFailed, ResourceExhausted, refuse

from headrace_registry.catalog import composition, writes
from headrace_registry.catalog.writes import Entry, Write
from headrace_registry.decisions import lifecycle, validation
from headrace_registry.decisions.files import Artifact, Blob, Trial
from headrace_registry.decisions.models import Action, Hold, Model, Stage, Version, VersionRef
from headrace_registry.decisions.registration import FIELD, check_same, check_trial, complete_version
from headrace_registry.decisions.tokens import check_etag
from headrace_registry.storage.store import Outcome, Store, Transaction

# Under which the router holds what routes name.
_ROUTER = "router/"


class Registrations:
    """Models, versions and aliases over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def create_model(self, declared: Model, write: Write) -> Outcome:
        """Make a model. Raises AlreadyExists, reason MODEL_EXISTS."""
        refuse(validation.model_violations(declared, "model"))

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.opened(transaction, declared.name)
            if model.epoch > 0:
                raise AlreadyExists(f"model '{declared.name}' exists", reason="MODEL_EXISTS")
            return Outcome(
                await self._save(transaction, _as_declared(model, declared), write, Entry(Action.MODEL_CREATED))
            )

        return await writes.once(self._store, write, self._clock.now(), act)

    async def update_model(self, declared: Model, etag: str, write: Write) -> Outcome:
        """Replace description, labels and promotion policy. Raises NotFound, and Aborted, reason ETAG_MISMATCH."""
        refuse(validation.model_violations(declared, "model"))

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, declared.name)
            check_etag(model, etag)
            after = _as_declared(model, declared)
            if after == model:
                return Outcome(model)
            return Outcome(await self._save(transaction, after, write, Entry(Action.MODEL_UPDATED)))

        return await writes.once(self._store, write, self._clock.now(), act)

    async def create_version(self, declared: Version, write: Write, trial: Trial | None = None) -> Outcome:
        """Register a version, and its model when it does not exist; the same content again is no change.

        trial: of its model; None takes one that was not tried.
        Raises InvalidArgument that names the field, reason MODEL_DOES_NOT_RUN, OUTPUTS_DIFFER or
        VALIDATION_UNREADABLE among others, PreconditionFailed
        (ARTIFACT_NOT_UPLOADED, PARENT_VERSION_NOT_FOUND), AlreadyExists (VERSION_EXISTS).
        """
        refuse(validation.version_violations(declared, FIELD))

        async def act(transaction: Transaction) -> Outcome:
            if declared.composition is not None and await transaction.version(declared.ref) is None:
                await composition.lock_members(transaction, declared)
            model = await writes.opened(transaction, declared.ref.model)
            earlier = await transaction.version(declared.ref)
            if earlier is not None:
                lifecycle.check_kept(earlier)
            blobs = await _stored(transaction, declared.artifacts)
            version = complete_version(declared, blobs, model, write.client, await transaction.now())
            if earlier is not None:
                check_same(earlier, version)
                return Outcome(model, earlier)
            await _check_parent(transaction, version)
            if trial is not None:
                check_trial(version, trial)
                version = replace(version, contract=replace(version.contract, example=trial.example))
            entries = [Entry(Action.MODEL_CREATED)] if model.epoch == 0 else []
            entries.append(Entry(Action.VERSION_CREATED, version.ref.version, to_stage=version.stage))
            await transaction.insert_version(version)
            await composition.hold_members(transaction, version, write.client, version.create_time)
            return Outcome(await self._save(transaction, model, write, *entries), version)

        return await writes.once(self._store, write, self._clock.now(), act)

    async def set_alias(self, ref: VersionRef, alias: str, etag: str, write: Write) -> Outcome:
        """Point an alias at a version. Raises NotFound, Aborted (ETAG_MISMATCH), ResourceExhausted."""

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, ref.model)
            check_etag(model, etag)
            lifecycle.check_kept(await writes.existing(transaction, ref))
            if model.aliases.get(alias) == ref.version:
                return Outcome(model)
            after = replace(model, aliases={**model.aliases, alias: ref.version})
            if len(after.aliases) > validation.MAX_ALIASES:
                raise ResourceExhausted(
                    f"model '{ref.model}' has {validation.MAX_ALIASES} aliases: delete one first",
                    reason="TOO_MANY_ALIASES",
                )
            await transaction.set_alias(ref, alias)
            entry = Entry(Action.ALIAS_SET, ref.version, alias=alias)
            return Outcome(await self._save(transaction, after, write, entry))

        return await writes.once(self._store, write, self._clock.now(), act)

    async def delete_alias(self, name: str, alias: str, etag: str, write: Write) -> Outcome:
        """Remove an alias if there is one. Raises NotFound, and Aborted, reason ETAG_MISMATCH."""

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, name)
            check_etag(model, etag)
            if alias not in model.aliases:
                return Outcome(model)
            await transaction.delete_alias(name, alias)
            entry = Entry(Action.ALIAS_DELETED, model.aliases[alias], alias=alias)
            after = replace(model, aliases={kept: version for kept, version in model.aliases.items() if kept != alias})
            return Outcome(await self._save(transaction, after, write, entry))

        return await writes.once(self._store, write, self._clock.now(), act)

    async def delete_model(self, name: str, etag: str, write: Write, *, with_route: bool = False) -> Outcome:
        """Take a model and its versions away for good; its name and history stay. with_route: what its route names
        does not keep it.

        Raises NotFound, Aborted (ETAG_MISMATCH), PreconditionFailed (MODEL_IN_USE) while a version of it is held.
        """

        async def act(transaction: Transaction) -> Outcome:
            model = await writes.locked(transaction, name)
            check_etag(model, etag)
            now = await transaction.now()
            held = await transaction.holds(name, now)
            _check_unheld(name, [hold for hold in held if not (with_route and hold.holder.startswith(_ROUTER))])
            entries = [Entry(Action.MODEL_DELETED)]
            if model.production:
                gone = VersionRef(name, model.production)
                await transaction.move(gone, Stage.ARCHIVED)
                entries.insert(0, Entry(Action.STAGE_CHANGED, gone.version, Stage.PRODUCTION, Stage.ARCHIVED))
            state = await transaction.state(name)
            for version in () if state is None else state.versions:
                await composition.release_members(transaction, version)
            await transaction.collect_versions(name, None, now)
            after = replace(model, production="", rollback_targets=(), delete_time=now)
            return Outcome(await writes.save(transaction, after, write, entries))

        return await writes.once(self._store, write, self._clock.now(), act)

    async def _save(self, transaction: Transaction, model: Model, write: Write, *entries: Entry) -> Model:
        return await writes.save(transaction, model, write, entries)


def _as_declared(model: Model, declared: Model) -> Model:
    """Return the model with what people declare of it."""
    return replace(
        model,
        description=declared.description,
        labels=declared.labels,
        gates=declared.gates,
        max_unpromoted_share=declared.max_unpromoted_share,
    )


def _check_unheld(model: str, holds: Sequence[Hold]) -> None:
    """Raise PreconditionFailed, reason MODEL_IN_USE, naming each hold, unless there is none."""
    if holds:
        found = [
            FieldViolation(
                f"holds.{hold.ref.version}",
                f"version '{hold.ref.version}' is held by {hold.holder} until {hold.expire_time:%Y-%m-%d %H:%M} UTC"
                + (f": {hold.reason}" if hold.reason else ""),
            )
            for hold in holds
        ]
        raise PreconditionFailed(
            f"model '{model}' is in use: " + "; ".join(violation.description for violation in found[:3]),
            reason="MODEL_IN_USE",
            violations=found,
        )


async def _stored(transaction: Transaction, artifacts: Sequence[Artifact]) -> list[Blob]:
    """Return the blobs of artifacts, in their order. Raises PreconditionFailed, reason ARTIFACT_NOT_UPLOADED."""
    blobs = [await transaction.blob(artifact.sha256, artifact.type) for artifact in artifacts]
    missing = [
        FieldViolation(
            f"{FIELD}.artifacts[{index}].sha256",
            f"'{artifact.name}': no {artifact.type} file with SHA-256 {artifact.sha256} is stored; upload it first",
        )
        for index, (artifact, blob) in enumerate(zip(artifacts, blobs, strict=True))
        if blob is None
    ]
    if missing:
        raise PreconditionFailed(missing[0].description, reason="ARTIFACT_NOT_UPLOADED", violations=missing)
    return [blob for blob in blobs if blob is not None]


async def _check_parent(transaction: Transaction, version: Version) -> None:
    parent = version.lineage.parent_version
    if parent and await transaction.version(VersionRef(version.ref.model, parent)) is None:
        violation = FieldViolation(
            f"{FIELD}.lineage.parent_version", f"model '{version.ref.model}' has no version '{parent}'"
        )
        raise PreconditionFailed(violation.description, reason="PARENT_VERSION_NOT_FOUND", violations=[violation])
