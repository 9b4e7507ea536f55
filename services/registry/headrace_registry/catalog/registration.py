"""Making models and versions, and what people may change of them: description, labels, gates, aliases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import AlreadyExists, FieldViolation, PreconditionFailed, ResourceExhausted, refuse

from headrace_registry.catalog import composition, writes
from headrace_registry.catalog.writes import Entry, Write
from headrace_registry.decisions import (
    compositions,
    contract,
    defaults,
    file_contract,
    formats,
    gates,
    lifecycle,
    padded_sizes,
    pipeline_contract,
    task,
    validation,
)
from headrace_registry.decisions.files import VALIDATION_FILE, ZEROS, Artifact, ArtifactType, Blob, Trial
from headrace_registry.decisions.models import Action, Contract, Hold, Model, Stage, Version, VersionRef
from headrace_registry.decisions.tokens import check_etag
from headrace_registry.storage.store import Outcome, Store, Transaction

_FIELD = "version"
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
        refuse(validation.version_violations(declared, _FIELD))

        async def act(transaction: Transaction) -> Outcome:
            if declared.composition is not None and await transaction.version(declared.ref) is None:
                await composition.lock_members(transaction, declared)
            model = await writes.opened(transaction, declared.ref.model)
            earlier = await transaction.version(declared.ref)
            if earlier is not None:
                lifecycle.check_kept(earlier)
            blobs = await _stored(transaction, declared.artifacts)
            version = _complete(declared, blobs, model, write, await transaction.now())
            if earlier is not None:
                _check_same(earlier, version)
                return Outcome(model, earlier)
            await _check_parent(transaction, version)
            if trial is not None:
                _check_trial(version, trial)
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


def _as_declared(model: Model, declared: Model) -> Model:
    """Return the model with what people declare of it."""
    return replace(
        model,
        description=declared.description,
        labels=declared.labels,
        gates=declared.gates,
        max_unpromoted_share=declared.max_unpromoted_share,
    )


async def _stored(transaction: Transaction, artifacts: Sequence[Artifact]) -> list[Blob]:
    """Return the blobs of artifacts, in their order. Raises PreconditionFailed, reason ARTIFACT_NOT_UPLOADED."""
    blobs = [await transaction.blob(artifact.sha256, artifact.type) for artifact in artifacts]
    missing = [
        FieldViolation(
            f"{_FIELD}.artifacts[{index}].sha256",
            f"'{artifact.name}': no {artifact.type} file with SHA-256 {artifact.sha256} is stored; upload it first",
        )
        for index, (artifact, blob) in enumerate(zip(artifacts, blobs, strict=True))
        if blob is None
    ]
    if missing:
        raise PreconditionFailed(missing[0].description, reason="ARTIFACT_NOT_UPLOADED", violations=missing)
    return [blob for blob in blobs if blob is not None]


def _complete(declared: Version, blobs: Sequence[Blob], model: Model, write: Write, now: datetime) -> Version:
    """Return the version as it is stored: with what only the registry knows. Raises InvalidArgument, reason
    CONTRACT_MISMATCH, when its contract is not what the model file keeps."""
    complete = _contract_of(declared, blobs, f"{_FIELD}.contract")
    refuse(formats.misfits(declared.format, complete, f"{_FIELD}.contract"))
    refuse(padded_sizes.misfits(declared.serving, complete, f"{_FIELD}.serving"))
    artifacts = tuple(
        replace(artifact, size_bytes=blob.size_bytes) for artifact, blob in zip(declared.artifacts, blobs, strict=True)
    )
    return replace(
        declared,
        contract=complete,
        serving=defaults.row_by_row(declared.serving) if complete.row_by_row else declared.serving,
        artifacts=artifacts,
        signature_hash=contract.signature_hash(complete),
        digest=contract.digest(declared.ref, complete, artifacts, declared.format, declared.composition),
        created_by=write.client,
        create_time=now,
        epoch=model.epoch + 1,
    )


def _contract_of(declared: Version, blobs: Sequence[Blob], field: str) -> Contract:
    """Return the contract of a version, taken from its ONNX file where it has one and does not state all of it."""
    if declared.composition is not None:
        complete, edges = pipeline_contract.contract_of(declared.contract, declared.composition, _FIELD)
        complete = task.completed(complete)
        mismatches = file_contract.mismatches(complete, edges, field)
        refuse(contract.violations(complete, field) or mismatches, reason="CONTRACT_MISMATCH" if mismatches else "")
        return _with_example(complete, declared, blobs)
    file = next((blob.model_file for blob in blobs if blob.model_file is not None), None)
    if file is None:
        refuse(_unstated(declared, field))
        complete = task.completed(declared.contract)
        refuse(contract.violations(complete, field))
        return complete
    if not contract.is_stated(declared.contract):
        refuse(file_contract.gaps(file, field), reason="CONTRACT_MISMATCH")
    complete = task.completed(file_contract.of_version(declared.contract, file))
    # What cannot be served at all is a better answer than what follows from it.
    mismatches = file_contract.mismatches(complete, file, field)
    refuse(contract.violations(complete, field) or mismatches, reason="CONTRACT_MISMATCH" if mismatches else "")
    return file_contract.with_batch_dimensions(complete, file)


def _with_example(complete: Contract, declared: Version, blobs: Sequence[Blob]) -> Contract:
    """Return the contract of a pipeline with the row that its one file answers, where it is fused."""
    named = zip(declared.artifacts, blobs, strict=True)
    file = next((blob.model_file for artifact, blob in named if artifact.name == compositions.FUSED), None)
    if file is None or file.trial is None:
        return complete
    return replace(complete, example=file.trial.example)


def _unstated(declared: Version, field: str) -> list[FieldViolation]:
    """Return the violation that the request must state a contract, because the version's files declare none."""
    if contract.is_stated(declared.contract):
        return []
    message = f"a {declared.format} version does not say its inputs and outputs: state name, datatype and shape of each"
    return [FieldViolation(field, message)]


def _check_trial(version: Version, trial: Trial) -> None:
    """Raise InvalidArgument unless the model of the version ran (MODEL_DOES_NOT_RUN), and answered what the version
    says that it should (OUTPUTS_DIFFER), in a file that can be read (VALIDATION_UNREADABLE).
    """
    if trial.unreadable:
        at = next(at for at, artifact in enumerate(version.artifacts) if artifact.name == VALIDATION_FILE)
        unread = FieldViolation(f"{_FIELD}.artifacts[{at}]", f"no outputs can be compared: {trial.unreadable}")
        refuse([unread], reason="VALIDATION_UNREADABLE")
    at = next((at for at, artifact in enumerate(version.artifacts) if artifact.type is ArtifactType.ONNX), 0)
    field = f"{_FIELD}.artifacts[{at}]"
    if trial.problem:
        refuse([FieldViolation(field, f"the model does not run: {trial.problem}")], reason="MODEL_DOES_NOT_RUN")
    if trial.difference and not gates.accepts_difference(version):
        differs = FieldViolation(field, f"answers differ from the expected: {trial.difference}")
        refuse([differs], reason="OUTPUTS_DIFFER")


_CONTENT = (
    "description",
    "metrics",
    "parameters",
    "lineage",
    "contract",
    "serving",
    "format",
    "composition",
    "artifacts",
)
_UNORDERED = ("metrics", "artifacts")


def _check_same(earlier: Version, version: Version) -> None:
    """Raise AlreadyExists, reason VERSION_EXISTS, when two versions of one name differ in what their makers declare."""
    # Settings that were changed since say nothing of what was registered.
    compared = [name for name in _CONTENT if name != "serving" or earlier.serving_revision == 1]
    differing = [name for name in compared if _content(earlier, name) != _content(version, name)]
    if differing:
        raise AlreadyExists(
            f"version '{version.ref.version}' of '{version.ref.model}' exists with other content; "
            f"versions are immutable: choose another id (differs in: {', '.join(differing)})",
            reason="VERSION_EXISTS",
            metadata={"differs_in": ",".join(differing)},
        )


def _content(version: Version, name: str) -> object:
    value = getattr(version, name)
    if isinstance(value, Contract):  # an example is found, not declared, and a task may have been
        return replace(task.completed(value), example=ZEROS)
    return sorted(value, key=lambda item: (item.name, repr(item))) if name in _UNORDERED else value


async def _check_parent(transaction: Transaction, version: Version) -> None:
    parent = version.lineage.parent_version
    if parent and await transaction.version(VersionRef(version.ref.model, parent)) is None:
        violation = FieldViolation(
            f"{_FIELD}.lineage.parent_version", f"model '{version.ref.model}' has no version '{parent}'"
        )
        raise PreconditionFailed(violation.description, reason="PARENT_VERSION_NOT_FOUND", violations=[violation])
