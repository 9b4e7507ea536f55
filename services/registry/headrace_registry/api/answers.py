"""From the registry's values to the API's messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime

import structlog
from google.api import httpbody_pb2
from google.protobuf import timestamp_pb2
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.coordination.feeds import Change

from headrace_registry.api import pipelines
from headrace_registry.api.enums import (
    ACTION_NUMBERS,
    BATCH_DIMENSION_NUMBERS,
    DEVICE_NUMBERS,
    FORMAT_NUMBERS,
    KIND_NUMBERS,
    SOURCE_NUMBERS,
    STAGE_NUMBERS,
    TASK_NUMBERS,
    TYPE_NUMBERS,
)
from headrace_registry.artifacts.signed_uploads import Staged
from headrace_registry.decisions import names, openapi, tokens, traffic
from headrace_registry.decisions.files import Artifact, Example
from headrace_registry.decisions.models import (
    Contract,
    Event,
    Gate,
    Hold,
    Measurement,
    Member,
    Metric,
    MetricSource,
    Model,
    ModelState,
    ServingChange,
    ServingSettings,
    Stage,
    TensorSpec,
    Version,
)
from headrace_registry.decisions.past import Past

log = structlog.get_logger()

# Below what peers take in one message (16 MiB), and enough for thousands of versions of usual size.
MAX_STATE_BYTES = 12 * 1024 * 1024


def to_model(model: Model) -> registry_pb2.Model:
    """Return a model as the API shows it."""
    message = registry_pb2.Model(
        name=names.model_name(model.name),
        description=model.description,
        labels=model.labels,
        aliases=model.aliases,
        production_version=model.production,
        epoch=model.epoch,
        etag=tokens.etag(model),
        create_time=timestamp(model.create_time),
        update_time=timestamp(model.update_time),
        max_unpromoted_share=traffic.max_unpromoted_share(model),
        rollback_versions=traffic.rollback_versions(model),
    )
    if model.gates is not None:
        message.promotion_policy.SetInParent()
        message.promotion_policy.gates.extend(to_gate(gate) for gate in model.gates)
        if model.max_unpromoted_share is not None:
            message.promotion_policy.max_unpromoted_share = model.max_unpromoted_share
    return message


def to_gate(gate: Gate) -> registry_pb2.PromotionGate:
    """Return a gate as the API shows it."""
    bounds = {kind.value: bound for kind, bound in gate.bounds.items()}
    return registry_pb2.PromotionGate(metric=gate.metric, measured_only=gate.measured_only, **bounds)


def to_version(version: Version) -> registry_pb2.ModelVersion:
    """Return a version as the API shows it."""
    lineage = version.lineage
    return registry_pb2.ModelVersion(
        name=names.version_name(version.ref),
        stage=STAGE_NUMBERS[version.stage],
        metrics=[_to_metric(metric) for metric in version.all_metrics],
        parameters=version.parameters,
        lineage=registry_pb2.Lineage(
            parent_version=lineage.parent_version,
            run=lineage.run,
            dataset=lineage.dataset,
            code_revision=lineage.code_revision,
        ),
        contract=to_contract(version.contract),
        serving=_to_serving(version.serving),
        artifacts=[_to_artifact(artifact) for artifact in version.artifacts],
        signature_hash=version.signature_hash,
        digest=version.digest,
        create_time=timestamp(version.create_time),
        created_by=version.created_by,
        description=version.description,
        collect_time=None if version.collect_time is None else timestamp(version.collect_time),
        format=FORMAT_NUMBERS[version.format],
        serving_revision=version.serving_revision,
        pipeline=None if version.composition is None else pipelines.to_pipeline(version.composition),
        members=[] if version.composition is None else [_to_member(one) for one in version.composition.members],
    )


def _to_member(member: Member) -> registry_pb2.ModelVersion:
    """Return what a step of a pipeline runs."""
    return registry_pb2.ModelVersion(
        name=names.version_name(member.ref),
        contract=to_contract(member.contract),
        serving=_to_serving(member.serving),
        artifacts=[_to_artifact(artifact) for artifact in member.artifacts],
        signature_hash=member.signature_hash,
        digest=member.digest,
        format=FORMAT_NUMBERS[member.format],
        serving_revision=member.serving_revision,
    )


def _to_artifact(artifact: Artifact) -> registry_pb2.Artifact:
    return registry_pb2.Artifact(
        name=artifact.name, type=TYPE_NUMBERS[artifact.type], sha256=artifact.sha256, size_bytes=artifact.size_bytes
    )


def to_openapi(version: Version) -> httpbody_pb2.HttpBody:
    """Return how a version is asked over REST, as a document."""
    document = openapi.document(version.ref, version.contract)
    return httpbody_pb2.HttpBody(content_type="application/json", data=json.dumps(document, indent=1).encode())


def to_event(event: Event) -> registry_pb2.ModelEvent:
    """Return a line of history as the API shows it."""
    unspecified = registry_pb2.ModelVersion.STAGE_UNSPECIFIED
    return registry_pb2.ModelEvent(
        epoch=event.epoch,
        action=ACTION_NUMBERS[event.action],
        version=event.version,
        from_stage=unspecified if event.from_stage is None else STAGE_NUMBERS[event.from_stage],
        to_stage=unspecified if event.to_stage is None else STAGE_NUMBERS[event.to_stage],
        alias=event.alias,
        client=event.client,
        reason=event.reason,
        create_time=timestamp(event.create_time),
        signature_breaks=event.signature_breaks,
        serving_change=None if event.serving_change is None else _to_serving_change(event.serving_change),
        promotion_request=event.promotion_request,
    )


def to_measurement(measurement: Measurement) -> registry_pb2.Measurement:
    """Return one value that was measured."""
    return registry_pb2.Measurement(
        metric=_to_metric(Metric(measurement.name, measurement.value, MetricSource.MEASURED)),
        source_process=measurement.source_process,
        create_time=timestamp(measurement.create_time),
    )


def to_hold(hold: Hold) -> registry_pb2.Hold:
    """Return a hold as the API shows it."""
    return registry_pb2.Hold(
        name=names.version_name(hold.ref),
        holder=hold.holder,
        reason=hold.reason,
        client=hold.client,
        create_time=timestamp(hold.create_time),
        expire_time=timestamp(hold.expire_time),
    )


def to_begun(staged: Staged | None) -> registry_pb2.BeginUploadResponse:
    """Return where to send a file; None when it is stored already."""
    if staged is None:
        return registry_pb2.BeginUploadResponse()
    return registry_pb2.BeginUploadResponse(
        name=names.upload_name(staged.id),
        url=staged.url,
        headers=staged.headers,
        expire_time=timestamp(staged.expire_time),
    )


def to_as_of(past: Past) -> registry_pb2.GetModelAsOfResponse:
    """Return what stood at a past time."""
    return registry_pb2.GetModelAsOfResponse(
        epoch=past.epoch,
        production_version=past.production,
        production_event=None if past.production_event is None else to_event(past.production_event),
        aliases=past.aliases,
        stages={version: STAGE_NUMBERS[stage] for version, stage in past.stages.items()},
    )


def to_change(seen: Change[ModelState]) -> registry_pb2.WatchModelsResponse:
    """Return a message of a watch."""
    token = "" if seen.resume is None else tokens.watch_token(seen.resume)
    if seen.state is None:
        incarnation = "" if seen.resume is None else str(seen.resume.incarnation)
        return registry_pb2.WatchModelsResponse(snapshot_complete=True, resume_token=token, incarnation=incarnation)
    if seen.state.model.delete_time is not None:
        return registry_pb2.WatchModelsResponse(
            model=registry_pb2.Model(name=names.model_name(seen.state.model.name)),
            removed=True,
            resume_token=token,
            incarnation=str(seen.state.model.incarnation),
        )
    return registry_pb2.WatchModelsResponse(
        model=to_model(seen.state.model),
        versions=within(seen.state, [to_version(version) for version in seen.state.versions], MAX_STATE_BYTES),
        resume_token=token,
        incarnation=str(seen.state.model.incarnation),
    )


def within(
    state: ModelState, messages: Sequence[registry_pb2.ModelVersion], max_bytes: int
) -> Sequence[registry_pb2.ModelVersion]:
    """Return the versions of a state that fit into one message, in their order.

    What is left out are the oldest of those that nothing points at: not in a stage that serves, no alias, no rollback.
    """
    if sum(message.ByteSize() for message in messages) <= max_bytes:
        return messages
    pointed_at = {*state.model.aliases.values(), *state.model.rollback_targets}
    live = (Stage.PRODUCTION, Stage.STAGING)
    order = sorted(
        range(len(messages)),
        key=lambda index: (
            state.versions[index].stage not in live and state.versions[index].ref.version not in pointed_at,
            index,
        ),
    )
    kept, left = set(), max_bytes
    for index in order:
        left -= messages[index].ByteSize()
        if left < 0:
            break
        kept.add(index)
    log.warning("versions left out of a watch", model=state.model.name, kept=len(kept), of=len(messages))
    return [message for index, message in enumerate(messages) if index in kept]


def to_contract(contract: Contract) -> tensor_pb2.ServingContract:
    """Return a contract as the API shows it."""
    return tensor_pb2.ServingContract(
        inputs=[_to_spec(spec) for spec in contract.inputs],
        outputs=[_to_spec(spec) for spec in contract.outputs],
        prediction=contract.prediction,
        task=TASK_NUMBERS[contract.task],
        labels=contract.labels,
        example=_to_example(contract.example),
        decoupled=contract.decoupled,
    )


def _to_example(example: Example) -> tensor_pb2.ServingContract.Example | None:
    if not example.inputs:
        return None
    return tensor_pb2.ServingContract.Example(
        inputs=[base64.b64decode(data) for data in example.inputs], dims=example.dims
    )


def _to_metric(metric: Metric) -> registry_pb2.Metric:
    return registry_pb2.Metric(name=metric.name, value=metric.value, source=SOURCE_NUMBERS[metric.source])


def _to_spec(spec: TensorSpec) -> tensor_pb2.TensorSpec:
    return tensor_pb2.TensorSpec(
        name=spec.name,
        datatype=spec.datatype,
        shape=spec.shape,
        optional=spec.optional,
        nan_allowed=spec.nan_allowed,
        kind=KIND_NUMBERS[spec.kind],
        columns=spec.columns,
        minimum=spec.minimum,
        maximum=spec.maximum,
        sensitive=spec.sensitive,
        batch_dimension=BATCH_DIMENSION_NUMBERS[spec.batch_dimension],
    )


def _to_serving(settings: ServingSettings) -> registry_pb2.ServingSettings:
    message = registry_pb2.ServingSettings(
        max_batch_rows=settings.max_batch_rows,
        preferred_batch_rows=settings.preferred_batch_rows,
        instances=settings.instances,
        device=DEVICE_NUMBERS[settings.device],
        warm=settings.warm,
    )
    message.max_wait.FromNanoseconds(round(settings.max_wait_ms * 1e6))
    if (padding := settings.padding) is not None:
        message.padding.sizes.extend(padding.sizes)
        message.padding.values.update(padding.values)
    return message


def _to_serving_change(change: ServingChange) -> registry_pb2.ServingChange:
    return registry_pb2.ServingChange(
        revision=change.revision, before=_to_serving(change.before), after=_to_serving(change.after)
    )


def timestamp(time: datetime) -> timestamp_pb2.Timestamp:
    """Return a time as the API shows it."""
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(time)
    return stamp
