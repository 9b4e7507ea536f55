"""What a version is once it is registered, and what refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from headrace_servicekit.errors import AlreadyExists, FieldViolation, refuse

from headrace_registry.decisions import (
    compositions,
    contract,
    defaults,
    file_contract,
    formats,
    gates,
    padded_sizes,
    pipeline_contract,
    task,
)
from headrace_registry.decisions.files import VALIDATION_FILE, ZEROS, ArtifactType, Blob, Trial
from headrace_registry.decisions.models import Contract, Model, Version

FIELD = "version"
"""Of a request, where violations are."""


def complete_version(declared: Version, blobs: Sequence[Blob], model: Model, client: str, now: datetime) -> Version:
    """Return the version as it is stored: with what only the registry knows. Raises InvalidArgument, reason
    CONTRACT_MISMATCH, when its contract is not what the model file keeps."""
    complete = _contract_of(declared, blobs, f"{FIELD}.contract")
    refuse(formats.misfits(declared.format, complete, f"{FIELD}.contract"))
    refuse(padded_sizes.misfits(declared.serving, complete, f"{FIELD}.serving"))
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
        created_by=client,
        create_time=now,
        epoch=model.epoch + 1,
    )


def _contract_of(declared: Version, blobs: Sequence[Blob], field: str) -> Contract:
    """Return the contract of a version, taken from its ONNX file where it has one and does not state all of it."""
    if declared.composition is not None:
        complete, edges = pipeline_contract.contract_of(declared.contract, declared.composition, FIELD)
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


def check_trial(version: Version, trial: Trial) -> None:
    """Raise InvalidArgument unless the model of the version ran (MODEL_DOES_NOT_RUN), and answered what the version
    says that it should (OUTPUTS_DIFFER), in a file that can be read (VALIDATION_UNREADABLE).
    """
    if trial.unreadable:
        at = next(at for at, artifact in enumerate(version.artifacts) if artifact.name == VALIDATION_FILE)
        unread = FieldViolation(f"{FIELD}.artifacts[{at}]", f"no outputs can be compared: {trial.unreadable}")
        refuse([unread], reason="VALIDATION_UNREADABLE")
    at = next((at for at, artifact in enumerate(version.artifacts) if artifact.type is ArtifactType.ONNX), 0)
    field = f"{FIELD}.artifacts[{at}]"
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


def check_same(earlier: Version, version: Version) -> None:
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
