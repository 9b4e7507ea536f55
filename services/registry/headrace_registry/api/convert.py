"""From the API's messages to the registry's values. What a message cannot say in a value is a field violation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import duration_pb2
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import FieldViolation, PermissionDenied, PreconditionFailed, refuse
from headrace_servicekit.resource_names import invalid

from headrace_registry.api import pipelines
from headrace_registry.api.enums import BATCH_DIMENSIONS, DEVICES, FORMATS, KINDS, SOURCES, STAGES, TASKS, TYPES, E
from headrace_registry.artifacts.uploads import Header
from headrace_registry.decisions import defaults, names
from headrace_registry.decisions.contract import MAX_TENSORS
from headrace_registry.decisions.defaults import Declared
from headrace_registry.decisions.files import Artifact, ArtifactType
from headrace_registry.decisions.models import (
    BatchDimension,
    Bound,
    Contract,
    Device,
    Format,
    Gate,
    Lineage,
    Metric,
    MetricSource,
    Model,
    Padding,
    PoolFormats,
    Stage,
    Task,
    TensorKind,
    TensorSpec,
    Version,
    VersionRef,
)
from headrace_registry.decisions.validation import MAX_ARTIFACTS, MAX_GATES, MAX_METRICS, MAX_VERSION_BYTES
from headrace_registry.promotion.promotions import RolloutRule

MAX_POOLS = 1000
MAX_MEASURED_LATER = 100


def target_stage(number: int) -> Stage:
    """Return the stage to move to. Raises InvalidArgument."""
    stage = STAGES.get(number)
    if stage is None:
        known = ", ".join(f"STAGE_{member.name}" for member in (Stage.STAGING, Stage.PRODUCTION, Stage.ARCHIVED))
        raise invalid("target_stage", f"{number} is not a stage to move to; choose one of {known}")
    return stage


def rollout_rule(request: registry_pb2.PromoteModelVersionRequest, *, internal: bool) -> RolloutRule:
    """Return what rollouts mean to a promotion. Raises PermissionDenied; internal: whether a service calls."""
    if request.rollout and not internal:
        raise PermissionDenied(
            "only the rollout service promotes for a rollout: leave `rollout` out", reason="ROLLOUT_NOT_YOURS"
        )
    number = 0
    if request.promotion_request:
        if not internal or not request.validate_only:
            raise invalid("promotion_request", "is for checks by other services: leave it out")
        _, number = names.promotion_request(request.promotion_request, "promotion_request")
    if request.measured_later and not (internal and request.validate_only):
        raise invalid("measured_later", "is for checks by other services: leave it out")
    _refuse_long(("measured_later", request.measured_later, MAX_MEASURED_LATER))
    return RolloutRule(
        own=request.rollout, end=request.end_rollout, request=number, measured_later=tuple(request.measured_later)
    )


def stage_filter(number: int) -> Stage | None:
    """Return the stage to list, None for all. Raises InvalidArgument."""
    if number == registry_pb2.ModelVersion.STAGE_UNSPECIFIED:
        return None
    if number not in STAGES:
        raise invalid("stage", f"{number} is not a stage")
    return STAGES[number]


def declared_model(message: registry_pb2.Model) -> Model:
    """Return what a caller declares of a model; output-only fields are ignored. Raises InvalidArgument."""
    gates = share = None
    _refuse_long(("model.promotion_policy.gates", message.promotion_policy.gates, MAX_GATES))
    if message.HasField("promotion_policy"):
        policy = message.promotion_policy
        gates = tuple(_gate(gate) for gate in policy.gates)
        share = policy.max_unpromoted_share if policy.HasField("max_unpromoted_share") else None
    return Model(
        name=names.model_id(message.name, "model.name"),
        description=message.description,
        labels=dict(message.labels),
        gates=gates,
        max_unpromoted_share=share,
    )


def declared_version(message: registry_pb2.ModelVersion, *, may_measure: bool) -> Version:
    """Return what a caller declares of a version; output-only fields are ignored. Raises InvalidArgument.

    may_measure: whether the caller's metrics may be MEASURED, which only Headrace's own services may say.
    """
    if message.ByteSize() > MAX_VERSION_BYTES:
        raise invalid(
            "version", f"{message.ByteSize()} bytes; at most {MAX_VERSION_BYTES}: put long lists into an artifact"
        )
    _refuse_long(
        ("version.metrics", message.metrics, MAX_METRICS),
        ("version.artifacts", message.artifacts, MAX_ARTIFACTS),
        ("version.contract.inputs", message.contract.inputs, MAX_TENSORS),
        ("version.contract.outputs", message.contract.outputs, MAX_TENSORS),
    )
    found: list[FieldViolation] = []
    lineage = message.lineage
    version = Version(
        ref=names.version_ref(message.name, "version.name"),
        description=message.description,
        metrics=tuple(_metric(metric, may_measure) for metric in message.metrics),
        parameters=dict(message.parameters),
        lineage=Lineage(lineage.parent_version, lineage.run, lineage.dataset, lineage.code_revision),
        contract=_contract(message.contract, "version.contract", found),
        serving=defaults.filled(_serving(message.serving, "version.serving", found)),
        artifacts=tuple(
            Artifact(
                artifact.name, _artifact_type(artifact.type, f"version.artifacts[{index}].type", found), artifact.sha256
            )
            for index, artifact in enumerate(message.artifacts)
        ),
        format=_known(FORMATS, message.format, Format.ONNX, "version.format", found),
        composition=pipelines.declared(message.pipeline, "version.pipeline") if message.HasField("pipeline") else None,
    )
    refuse(found)
    return version


def described_version(model: Model, version: str) -> VersionRef:
    """Return the version that is asked for, or the one in production. Raises InvalidArgument, PreconditionFailed."""
    if version:
        return VersionRef(model.name, names.version_id(version, "version"))
    if not model.production:
        raise PreconditionFailed(
            f"no version of '{model.name}' is in production: name one in `version`", reason="NOTHING_IN_PRODUCTION"
        )
    return VersionRef(model.name, model.production)


def declared_serving(message: registry_pb2.ServingSettings, field: str) -> Declared:
    """Return what a caller declares of serving settings. Raises InvalidArgument."""
    found: list[FieldViolation] = []
    declared = _serving(message, field, found)
    refuse(found)
    return declared


def measured(messages: Iterable[registry_pb2.Metric]) -> tuple[Metric, ...]:
    """Return what Headrace measured."""
    return tuple(Metric(message.name, message.value, MetricSource.MEASURED) for message in messages)


def time(message: Any, field: str) -> datetime:
    """Return the time in a field. Raises InvalidArgument when it is not set, or no time."""
    if not message.HasField(field):
        raise invalid(field, "is not set")
    try:
        return getattr(message, field).ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid(field, "is not a time between the years 1 and 9999") from None


def duration(message: duration_pb2.Duration, field: str) -> timedelta:
    """Return a duration. Raises InvalidArgument for one that is none."""
    try:
        return message.ToTimedelta()
    except (ValueError, OverflowError):
        raise invalid(field, "is not a duration") from None


def upload_header(message: registry_pb2.UploadArtifactRequest | registry_pb2.StreamCodeRequest | None) -> Header:
    """Return the header in the first message of an upload, None when there was none. Raises InvalidArgument."""
    if message is None or message.WhichOneof("part") != "header":
        raise invalid("header", "the first message of an upload is its header")
    return _header(message.header, "header.")


def uploaded_code(message: registry_pb2.UploadCodeRequest) -> Header:
    """Return what is said of a file that comes whole. Raises InvalidArgument."""
    return _header(message, "")


def reported_pools(message: registry_pb2.ReportPoolsRequest) -> list[PoolFormats]:
    """Return pools of batchers; formats of a later release are left out. Raises InvalidArgument."""
    _refuse_long(("pools", message.pools, MAX_POOLS))
    names = [pool.name for pool in message.pools]
    if len(set(names)) < len(names):
        refuse([FieldViolation("pools", "a name stands there twice")])
    return [
        PoolFormats(pool.name, frozenset(FORMATS[one] for one in pool.formats if one in FORMATS))
        for pool in message.pools
    ]


def begun_upload(message: registry_pb2.BeginUploadRequest) -> Header:
    """Return what is said of a file before it is sent. Raises InvalidArgument."""
    return _header(message, "")


def _header(
    proto: registry_pb2.UploadArtifactRequest.Header | registry_pb2.BeginUploadRequest | registry_pb2.UploadCodeRequest,
    prefix: str,
) -> Header:
    if proto.type not in TYPES:
        known = ", ".join(f"TYPE_{member.name}" for member in ArtifactType)
        raise invalid(
            f"{prefix}type", f"{proto.type} is not a type that is taken: {known}", reason="ARTIFACT_TYPE_REFUSED"
        )
    if proto.sha256 and not names.is_sha256(proto.sha256):
        raise invalid(f"{prefix}sha256", "is not 64 lower-case hexadecimal digits")
    if isinstance(proto, registry_pb2.UploadCodeRequest):
        return Header(TYPES[proto.type], proto.sha256, len(proto.content))
    if proto.size_bytes < 0:
        raise invalid(f"{prefix}size_bytes", f"{proto.size_bytes} is negative")
    return Header(TYPES[proto.type], proto.sha256, proto.size_bytes)


def _refuse_long(*lists: tuple[str, Sized, int]) -> None:
    """Raise InvalidArgument for fields that hold more items than they may.

    Before anything is made of the items: a message has room for a million, each of which may be wrong in several ways.
    """
    refuse(
        [
            FieldViolation(field, f"has {len(items)} items; at most {most}")
            for field, items, most in lists
            if len(items) > most
        ]
    )


def _gate(message: registry_pb2.PromotionGate) -> Gate:
    bound = message.WhichOneof("bound")
    limit = {} if bound is None else {Bound(bound).value: getattr(message, bound)}
    return Gate(metric=message.metric, measured_only=message.measured_only, **limit)


def _metric(message: registry_pb2.Metric, may_measure: bool) -> Metric:
    source = SOURCES.get(message.source, MetricSource.REPORTED) if may_measure else MetricSource.REPORTED
    return Metric(message.name, message.value, source)


def _contract(message: tensor_pb2.ServingContract, field: str, found: list[FieldViolation]) -> Contract:
    return Contract(
        inputs=tuple(_spec(spec, f"{field}.inputs[{index}]", found) for index, spec in enumerate(message.inputs)),
        outputs=tuple(_spec(spec, f"{field}.outputs[{index}]", found) for index, spec in enumerate(message.outputs)),
        prediction=message.prediction,
        task=_known(TASKS, message.task, Task.UNSPECIFIED, f"{field}.task", found),
        labels=tuple(message.labels),
        decoupled=message.decoupled,
    )


def _spec(message: tensor_pb2.TensorSpec, field: str, found: list[FieldViolation]) -> TensorSpec:
    return TensorSpec(
        name=message.name,
        datatype=message.datatype,
        shape=tuple(message.shape),
        optional=message.optional,
        nan_allowed=message.nan_allowed,
        kind=_known(KINDS, message.kind, TensorKind.UNSPECIFIED, f"{field}.kind", found),
        columns=tuple(message.columns),
        minimum=message.minimum if message.HasField("minimum") else None,
        maximum=message.maximum if message.HasField("maximum") else None,
        sensitive=message.sensitive,
        batch_dimension=_known(
            BATCH_DIMENSIONS, message.batch_dimension, BatchDimension.UNSPECIFIED, f"{field}.batch_dimension", found
        ),
    )


def _serving(message: registry_pb2.ServingSettings, field: str, found: list[FieldViolation]) -> Declared:
    max_wait_ms = None
    if message.HasField("max_wait"):
        max_wait_ms = message.max_wait.seconds * 1000 + message.max_wait.nanos / 1e6
    return defaults.Declared(
        max_batch_rows=message.max_batch_rows,
        preferred_batch_rows=tuple(message.preferred_batch_rows),
        max_wait_ms=max_wait_ms,
        instances=message.instances,
        device=_known(DEVICES, message.device, Device.ANY, f"{field}.device", found),
        warm=message.warm if message.HasField("warm") else None,
        padding=_padding(message.padding) if message.HasField("padding") else None,
    )


def _padding(message: registry_pb2.ServingSettings.Padding) -> Padding:
    return Padding(tuple(message.sizes), dict(message.values))


def _artifact_type(number: int, field: str, found: list[FieldViolation]) -> ArtifactType:
    return _known(TYPES, number, ArtifactType.ONNX, field, found)


def _known(by_number: Mapping[int, E], number: int, otherwise: E, field: str, found: list[FieldViolation]) -> E:
    """Return the member of a number; of an unknown number, note the violation."""
    member = by_number.get(number)
    if member is None:
        found.append(FieldViolation(field, f"{number} is not one of {', '.join(sorted(set(by_number.values())))}"))
        return otherwise
    return member
