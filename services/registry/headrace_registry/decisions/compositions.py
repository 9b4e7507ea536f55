"""Versions that are pipelines: what is wrong with one, its members, and what flows between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from headrace_runtime.pipelines import fusion, structure
from headrace_runtime.pipelines.flow import Flow, Port, Signature, Unfit, flow
from headrace_runtime.pipelines.graph import GraphStep, ModelStep, Pipeline
from headrace_servicekit.errors import FieldViolation, InvalidArgument, refusal, refuse
from headrace_servicekit.resource_names import is_id

from headrace_registry.decisions import contract, defaults, file_contract
from headrace_registry.decisions.files import Artifact, ArtifactType, ModelFile, ModelPort, Trial
from headrace_registry.decisions.models import (
    Contract,
    Device,
    Format,
    Member,
    ServingSettings,
    TensorSpec,
    Version,
    VersionRef,
)

REASON = "PIPELINE_INVALID"
GENERATED = ".combiner.onnx"
"""What the names of the files end with that the registry writes."""
FUSED = "model.onnx"
"""The name of the file of all steps."""
HOLDER = "pipelines/"
"""What the names of pipelines begin with, as holders of their members."""


def holder(ref: VersionRef) -> str:
    """Return the name under which a pipeline holds its members."""
    return f"{HOLDER}{ref.model}/{ref.version}"


def held_by(name: str) -> VersionRef | None:
    """Return the pipeline that a holder's name stands for."""
    model, _, version = name.removeprefix(HOLDER).partition("/")
    return VersionRef(model, version) if name.startswith(HOLDER) else None


def registered_members(version: Version) -> list[Member]:
    """Return the members of a pipeline that are versions of models, without its own graphs; none of a model."""
    if version.composition is None:
        return []
    own = f"{version.ref.version}--"
    return [
        member
        for member in version.composition.members
        if not (member.ref.model == version.ref.model and member.ref.version.startswith(own))
    ]


def violations(version: Version, pipeline: Pipeline, field: str) -> list[FieldViolation]:
    """Return what is wrong with a version that is a pipeline, as far as its members do not matter."""
    place = f"{field}.pipeline"
    found = structure.violations(pipeline, place)
    if version.format is not Format.ONNX:
        found.append(FieldViolation(f"{field}.format", "a pipeline has none: leave it out"))
    if pipeline.fuse:
        found += fusion.violations(pipeline, place)
    graphs = {a.name for a in version.artifacts if a.type is ArtifactType.ONNX and not is_made(a.name, pipeline)}
    run = set()
    for index, step in enumerate(pipeline.steps[: structure.MAX_STEPS]):
        if isinstance(step.runs, GraphStep):
            run.add(step.runs.artifact)
            if step.runs.artifact not in graphs:
                message = f"the version has no ONNX artifact '{step.runs.artifact[:100]}'"
                found.append(FieldViolation(f"{place}.steps[{index}].graph", message))
        elif isinstance(step.runs, ModelStep):
            found += _model_violations(version.ref, step.runs, f"{place}.steps[{index}].model")
    for index, artifact in enumerate(version.artifacts):
        where = f"{field}.artifacts[{index}]"
        if artifact.type not in (ArtifactType.ONNX, ArtifactType.JSON, ArtifactType.PARQUET):
            found.append(FieldViolation(f"{where}.type", "the graphs of a pipeline are ONNX"))
        elif artifact.name in graphs - run:
            found.append(FieldViolation(f"{where}.name", f"no step runs '{artifact.name}'"))
    return found


def is_made(name: str, pipeline: Pipeline) -> bool:
    """Return whether a file of that name is one that the registry makes."""
    return name.endswith(GENERATED) or (pipeline.fuse and name == FUSED)


def fusion_violations(pipeline: Pipeline, members: Mapping[str, Member], field: str) -> list[FieldViolation]:
    """Return which members cannot be part of one graph."""
    found = []
    for index, step in enumerate(pipeline.steps):
        member = members[step.name]
        if member.format is not Format.ONNX:
            message = f"'{member.ref.model}@{member.ref.version}' is {member.format}; only ONNX is fused"
            found.append(FieldViolation(f"{field}.steps[{index}]", message))
        elif member.contract.row_by_row:
            message = f"what step '{step.name}' runs takes one row at a time, and a fused pipeline takes many"
            found.append(FieldViolation(f"{field}.steps[{index}]", message))
    return found


def _model_violations(ref: VersionRef, step: ModelStep, place: str) -> list[FieldViolation]:
    for name, text in (("model", step.model), ("version", step.version), ("alias", step.alias)):
        if (text or name == "model") and not is_id(text):
            return [FieldViolation(f"{place}.{name}", f"{text[:100]!r} is not an id")]
    if (step.model, step.version) == (ref.model, ref.version):
        return [FieldViolation(f"{place}.version", "the pipeline names itself")]
    return []


def member_of(version: Version, place: str) -> Member:
    """Return a registered version as a member. Raises InvalidArgument, reason PIPELINE_INVALID, for a pipeline, and for
    one that answers in parts."""
    if version.composition is not None:
        name = f"'{version.ref.model}@{version.ref.version}'"
        message = f"{name} is a pipeline itself: name its steps in its place, each by version or alias"
        raise refusal([FieldViolation(place, message)], reason=REASON)
    if version.contract.decoupled:
        message = f"'{version.ref.model}@{version.ref.version}' answers in parts, and a step answers once"
        raise refusal([FieldViolation(place, message)], reason=REASON)
    return Member(
        version.ref,
        version.digest,
        version.contract,
        version.serving,
        version.artifacts,
        version.signature_hash,
        version.format,
        version.serving_revision,
    )


def graph_member(version: Version, step: str, file: ModelFile, artifact: Artifact, place: str) -> Member:
    """Return an ONNX artifact of a pipeline as a member. Raises InvalidArgument where it cannot be served."""
    stated = file_contract.of_file(file)
    refuse([*file_contract.gaps(file, place), *file_contract.mismatches(stated, file, place)], reason=REASON)
    refuse(contract.violations(stated, place), reason=REASON)
    stated = file_contract.with_batch_dimensions(stated, file)
    settings = defaults.row_by_row(version.serving) if stated.row_by_row else version.serving
    # Whether NaN may come is said by the pipeline's contract, not by the file.
    stated = replace(stated, inputs=_with_nan(stated.inputs), outputs=_with_nan(stated.outputs))
    if file.trial is not None:
        stated = replace(stated, example=file.trial.example)
    return _own(version, step, stated, settings, artifact)


def combiner_member(version: Version, step: str, signature: Signature, artifact: Artifact) -> Member:
    """Return a combiner as a member; it runs on a CPU: moving tensors would take longer than combining them."""
    stated = Contract(_with_nan(_specs(signature.inputs)), _with_nan(_specs(signature.outputs)))
    return _own(version, step, stated, replace(version.serving, device=Device.CPU), artifact)


def file_of(signature: Signature) -> ModelFile:
    """Return what the file of a combiner declares."""

    def ports(side: Iterable[Port]) -> tuple[ModelPort, ...]:
        return tuple(
            ModelPort(p.name, p.datatype, p.datatype, (None, *(None if s < 0 else s for s in p.shape))) for p in side
        )

    return ModelFile(ports(signature.inputs), ports(signature.outputs), Trial())


def _own(version: Version, step: str, stated: Contract, settings: ServingSettings, artifact: Artifact) -> Member:
    # Batchers look for the one file of a version by its name as such.
    artifact = replace(artifact, name="model.onnx")
    ref = VersionRef(version.ref.model, f"{version.ref.version}--{step}")
    digest = contract.digest(ref, stated, (artifact,))
    return Member(ref, digest, stated, settings, (artifact,), contract.signature_hash(stated))


def _specs(ports: Iterable[Port]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(port.name, port.datatype, port.shape) for port in ports)


def _with_nan(specs: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    return tuple(replace(spec, nan_allowed=spec.datatype in contract.FLOATS) for spec in specs)


def signature_of(member: Member) -> Signature:
    """Return what a member takes and gives."""

    def ports(specs: Iterable[TensorSpec]) -> tuple[Port, ...]:
        return tuple(Port(spec.name, spec.datatype, spec.shape, spec.optional) for spec in specs)

    return Signature(ports(member.contract.inputs), ports(member.contract.outputs))


def flow_of(pipeline: Pipeline, members: Mapping[str, Member], field: str) -> Flow:
    """Return what flows through a pipeline. Raises InvalidArgument, reason PIPELINE_INVALID, naming each edge."""
    try:
        return flow(pipeline, {step: signature_of(member) for step, member in members.items()}, field)
    except Unfit as error:
        raise _refused(error) from None


def _refused(error: Unfit) -> InvalidArgument:
    return refusal(error.violations, reason=REASON)
