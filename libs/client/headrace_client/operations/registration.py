"""Registering a version: its files streamed to the registry, then the version that names them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2

from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import FieldViolation, InvalidArgument, invalid
from headrace_client.local_files import read_as
from headrace_client.model_files import FORMATS, ModelFiles, files_of, type_in
from headrace_client.operations.missing_values import with_nan_allowed
from headrace_client.pipeline_files import is_pipeline, read_pipeline

UPLOAD_TIMEOUT_S = 600.0
TRIAL_TIMEOUT_S = 90.0
CHUNK_BYTES = 256 * 1024
# Code that is larger does not fit into one message of the registry.
CODE_MESSAGE_BYTES = 8 * 1024 * 1024

# Called with the artifact's name, the bytes sent so far and all there are; a retry begins again at 0.
Stored = registry_pb2.UploadArtifactResponse | registry_pb2.UploadCodeResponse | registry_pb2.StreamCodeResponse
Progress = Callable[[str, int, int], None]

SIGNATURE_FILE = "signature.json"
EMPTY_CODE = b"\n"
"""What is registered of an empty file of code: an empty module is one, and the registry keeps no empty files."""

_TYPES = {
    ".onnx": registry_pb2.Artifact.TYPE_ONNX,
    ".parquet": registry_pb2.Artifact.TYPE_PARQUET,
    ".json": registry_pb2.Artifact.TYPE_JSON,
}
_CODE = (
    registry_pb2.Artifact.TYPE_PYTHON,
    registry_pb2.Artifact.TYPE_REQUIREMENTS,
    registry_pb2.Artifact.TYPE_PT2,
    registry_pb2.Artifact.TYPE_OPAQUE,
)
_DEVICES = {
    None: registry_pb2.ServingSettings.DEVICE_UNSPECIFIED,
    "cpu": registry_pb2.ServingSettings.DEVICE_CPU,
    "gpu": registry_pb2.ServingSettings.DEVICE_GPU,
}


@dataclass(frozen=True, slots=True)
class Serving:
    """How batches of a version are formed; what is None or empty is left to Headrace.

    warm: it stays in memory without requests. pad_to: sizes that dimensions which vary are padded to, `()` for none;
    pad_with: value of the padding by input, 0 for the others.
    """

    max_batch_rows: int | None = None
    preferred_batch_rows: tuple[int, ...] = ()
    max_wait: timedelta | None = None
    instances: int | None = None
    device: str | None = None
    warm: bool | None = None
    pad_to: tuple[int, ...] | None = None
    pad_with: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a version was made from, in the trainer's own terms."""

    parent_version: str = ""
    run: str = ""
    dataset: str = ""
    code_revision: str = ""


def register_version(
    session: Session,
    model: str,
    version: str,
    file: Path | str,
    *,
    contract: tensor_pb2.ServingContract | None = None,
    allow_nan: Collection[str] = (),
    metrics: Mapping[str, float] | None = None,
    parameters: Mapping[str, str] | None = None,
    artifacts: Mapping[str, Path | str] | None = None,
    lineage: Lineage | None = None,
    serving: Serving | None = None,
    description: str = "",
    skip_trial: bool = False,
    accept_difference: bool = False,
    kept_as: str = "onnx",
    files: ModelFiles | None = None,
    signature: Path | str | None = None,
    progress: Progress | None = None,
    request_id: str = "",
    timeout: float = UPLOAD_TIMEOUT_S,
) -> Operation[registry_pb2.ModelVersion]:
    """Upload the files and register the version; registering the same content again returns what exists.

    file: an ONNX model, or a pipeline (`pipeline.yaml`), whose graphs are uploaded too. contract: None takes names,
    datatypes and shapes from the model file, and so do inputs and outputs without a
    datatype. allow_nan: inputs that may hold NaN, beside those that have null in `validation.json`. artifacts: further
    files (*.parquet, *.json) by their name in the version. skip_trial: register a model also where the registry's ONNX
    Runtime cannot run it. accept_difference: also one whose answers differ from the `outputs` in `validation.json`; the
    version says so by the metric `accepts_difference`. kept_as: format of the model, `python` for a folder with
    model.py; every format but ONNX needs a contract that states its tensors. files: those of the model where they are
    known already, in the place of `file` and `kept_as`. signature: bundle of OpenSSF model signing over all files of
    the version (`model_signing sign`). timeout: seconds for each file. Raises AlreadyExists when the name is taken by
    other content, InvalidArgument, reason MODEL_DOES_NOT_RUN, when the model fails on a row of zeros and on those of
    the artifact `validation.json`, reason OUTPUTS_DIFFER when it does not answer them as expected there.
    """
    pipeline = read_pipeline(Path(file)) if is_pipeline(Path(file)) else None
    own = pipeline.graphs if pipeline is not None else (files or files_of(Path(file), kept_as)).files
    kept_as = kept_as if files is None else files.kept_as
    everything = {**together(own, artifacts or {}), **({SIGNATURE_FILE: signature} if signature is not None else {})}
    # A wrong name is found before the first byte is sent.
    types = {name: type_in(kept_as, name) or artifact_type(name) for name in everything}
    uploaded = []
    for name, path in everything.items():
        stored = yield from upload(session, Path(path), name=name, progress=progress, timeout=timeout, kind=types[name])
        uploaded.append(registry_pb2.Artifact(name=name, type=types[name], sha256=stored.sha256))
    reported = {**(metrics or {}), **({"accepts_difference": 1.0} if accept_difference else {})}
    declared = registry_pb2.ModelVersion(
        name=f"models/{model}/versions/{version}",
        metrics=[registry_pb2.Metric(name=name, value=value) for name, value in reported.items()],
        parameters=dict(parameters or {}),
        contract=with_nan_allowed(contract, allow_nan, artifacts or {}),
        artifacts=uploaded,
        format=FORMATS[kept_as].number,
        serving=serving_settings(serving or Serving()),
        description=description,
        pipeline=None if pipeline is None else pipeline.pipeline,
    )
    if lineage is not None:
        declared.lineage.MergeFrom(
            registry_pb2.Lineage(
                parent_version=lineage.parent_version,
                run=lineage.run,
                dataset=lineage.dataset,
                code_revision=lineage.code_revision,
            )
        )
    request = registry_pb2.CreateModelVersionRequest(
        version=declared, request_id=request_id or str(uuid.uuid4()), skip_trial=skip_trial
    )
    # The registry may run the model first, with a minute for it.
    try:
        answer = yield from invoke(session, registry_pb2.CreateModelVersionResponse, request, timeout_s=TRIAL_TIMEOUT_S)
    except InvalidArgument as error:
        raise (error if pipeline is None else pipeline.located(error)) from None
    return answer.version


def together(own: Mapping[str, Path], artifacts: Mapping[str, Path | str]) -> dict[str, Path | str]:
    """Return the files of a version: those of its model, and further ones. Raises InvalidArgument for a name twice."""
    for name in own:
        if name in artifacts:
            raise invalid(f"artifacts.{name}", "is the model itself; give further files other names")
    return {**own, **artifacts}


def upload(
    session: Session,
    path: Path,
    *,
    name: str = "",
    progress: Progress | None = None,
    timeout: float = UPLOAD_TIMEOUT_S,
    kind: registry_pb2.Artifact.Type | None = None,
) -> Operation[Stored]:
    """Stream one file to the registry and return its SHA-256 and size; bytes that are stored are not sent again.

    A stream that is cut leaves nothing behind. kind: how it is read; None is what its name says.
    """
    name = name or path.name
    kind = kind if kind is not None else artifact_type(name)
    with read_as("a file", path, f"artifacts.{name}"):
        size_bytes = path.stat().st_size
    if kind in _CODE and size_bytes <= CODE_MESSAGE_BYTES:
        return (yield from _upload_code(session, path, name, kind, timeout))
    with read_as("a file", path, f"artifacts.{name}"):
        sha256 = _sha256(path)
    message = registry_pb2.StreamCodeRequest if kind in _CODE else registry_pb2.UploadArtifactRequest
    if not size_bytes:
        raise invalid(f"artifacts.{name}", f"{path} is empty")

    def messages() -> Iterator[Any]:
        yield message(header=registry_pb2.UploadArtifactRequest.Header(type=kind, sha256=sha256, size_bytes=size_bytes))
        sent = 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield message(chunk=chunk)
                sent += len(chunk)
                if progress is not None:
                    progress(name, sent, size_bytes)

    if progress is not None:
        progress(name, 0, size_bytes)
    try:
        if kind in _CODE:
            stored = yield from invoke(session, registry_pb2.StreamCodeResponse, messages, timeout_s=timeout)
        else:
            stored = yield from invoke(session, registry_pb2.UploadArtifactResponse, messages, timeout_s=timeout)
    except InvalidArgument as error:
        raise _of_file(error, name, path) from None
    if progress is not None:
        progress(name, size_bytes, size_bytes)
    return stored


def _upload_code(
    session: Session, path: Path, name: str, kind: registry_pb2.Artifact.Type, timeout: float
) -> Operation[registry_pb2.UploadCodeResponse]:
    with read_as("source", path, f"artifacts.{name}"):
        content = path.read_bytes()
    if not content:
        content = EMPTY_CODE
    request = registry_pb2.UploadCodeRequest(type=kind, content=content)
    try:
        return (yield from invoke(session, registry_pb2.UploadCodeResponse, request, timeout_s=timeout))
    except InvalidArgument as error:
        raise _of_file(error, name, path) from None


def _of_file(error: InvalidArgument, name: str, path: Path) -> InvalidArgument:
    """Return the error about the file: the registry knows its bytes only, as the field `chunk` of the messages."""
    if not any(violation.field == "chunk" for violation in error.violations):
        return error
    return InvalidArgument(
        f"{path}: {error.message.removeprefix('chunk: ')}",
        reason=error.reason,
        violations=[
            FieldViolation(f"artifacts.{name}" if one.field == "chunk" else one.field, one.description)
            for one in error.violations
        ],
        metadata=error.metadata,
        request_id=error.request_id,
    )


def artifact_type(name: str) -> registry_pb2.Artifact.Type:
    """Return how a file of that name is read. Raises InvalidArgument for names that say no allowed type."""
    kind = _TYPES.get(Path(name).suffix.lower())
    if kind is None:
        raise invalid(
            f"artifacts.{name}", f"file names end in one of {', '.join(_TYPES)}; that is how the bytes are read"
        )
    return kind


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def serving_settings(serving: Serving) -> registry_pb2.ServingSettings:
    """Return serving settings as the registry takes them. Raises InvalidArgument for an unknown device."""
    if serving.device not in _DEVICES:
        raise invalid("serving.device", f"'{serving.device}' is not one of cpu, gpu")
    settings = registry_pb2.ServingSettings(
        max_batch_rows=serving.max_batch_rows or 0,
        preferred_batch_rows=sorted(serving.preferred_batch_rows),
        instances=serving.instances or 0,
        device=_DEVICES[serving.device],
    )
    if serving.max_wait is not None:
        settings.max_wait.FromTimedelta(serving.max_wait)
    if serving.warm is not None:
        settings.warm = serving.warm
    if serving.pad_to is not None:
        settings.padding.SetInParent()
        settings.padding.sizes.extend(sorted(serving.pad_to))
        settings.padding.values.update(serving.pad_with)
    elif serving.pad_with:
        raise invalid("serving.padding.sizes", "values to pad with need sizes to pad to")
    return settings
