"""Finding what the steps of a pipeline run: registered versions, graphs of its own, and combiners, which are made."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from headrace_runtime.pipelines import combiners
from headrace_runtime.pipelines.flow import Flow
from headrace_runtime.pipelines.fusion import NotFusible
from headrace_runtime.pipelines.graph import Combiner, GraphStep, ModelStep, Pipeline, Step, levels
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Aborted, FieldViolation, NotFound, refuse
from headrace_servicekit.fair_share import FairTurns
from headrace_servicekit.identity import model_not_found
from headrace_servicekit.resource_names import invalid

from headrace_registry.artifacts.blobs import Blobs, recorded
from headrace_registry.artifacts.fusion import Fuse, FusionRequest
from headrace_registry.artifacts.uploads import Uploads, room
from headrace_registry.catalog import writes
from headrace_registry.decisions import compositions, lifecycle, validation
from headrace_registry.decisions.files import Artifact, ArtifactType
from headrace_registry.decisions.models import Composition, Hold, Member, Model, Version, VersionRef
from headrace_registry.storage.store import Store, Transaction

_FIELD = "version"
_STEPS = f"{_FIELD}.pipeline.steps"
# A pipeline keeps its members for as long as it is kept itself: it gives them free, no time does.
FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)


class Composing:
    """Members of pipelines that are about to be registered."""

    def __init__(
        self, store: Store, blobs: Blobs, uploads: Uploads, fuse: Fuse, clock: Clock, *, directory: Path | None = None
    ) -> None:
        """directory: for the files of pipelines that are being fused; None is the system's."""
        self._store, self._blobs, self._uploads, self._fuse = store, blobs, uploads, fuse
        self._clock, self._directory = clock, directory
        # Of fusions: each has the files of all steps on disk, and in the memory of its process.
        self._turns = FairTurns(1)

    async def complete(self, declared: Version, *, skip_trial: bool = False) -> Version:
        """Return a version with the members of its pipeline, and the graphs of its combiners among its artifacts.

        One that is registered already has the members that it had. What is no pipeline is returned as it is. Raises
        InvalidArgument (PIPELINE_INVALID, MODEL_DOES_NOT_RUN), NotFound, PreconditionFailed (VERSION_COLLECTED).
        """
        if declared.composition is None:
            return declared
        pipeline = declared.composition.pipeline
        made = [
            FieldViolation(f"{_FIELD}.artifacts[{index}].name", f"'{artifact.name}' is the registry's own: rename it")
            for index, artifact in enumerate(declared.artifacts)
            if compositions.is_made(artifact.name, pipeline)
        ]
        refuse(made or validation.version_violations(declared, _FIELD), reason=compositions.REASON)
        earlier = await self._store.version(declared.ref)
        if earlier is not None and earlier.composition is not None and earlier.composition.pipeline == pipeline:
            own = [one for one in earlier.artifacts if compositions.is_made(one.name, pipeline)]
            return replace(declared, composition=earlier.composition, artifacts=(*declared.artifacts, *own))
        members = await self._found(declared, pipeline, skip_trial=skip_trial)
        flow = compositions.flow_of(pipeline, members, f"{_FIELD}.pipeline")
        own = await self._made(declared, pipeline, flow, members)
        if pipeline.fuse:
            own.append(await self._fused(pipeline, members, skip_trial=skip_trial))
        digests = {step.name: members[step.name].digest for step in pipeline.steps}
        each = {member.digest: member for member in members.values()}
        composition = Composition(pipeline, tuple(each.values()), digests)
        return replace(declared, composition=composition, artifacts=(*declared.artifacts, *own))

    async def _found(self, declared: Version, pipeline: Pipeline, *, skip_trial: bool) -> dict[str, Member]:
        """Return what the steps run that are no combiners, by step."""
        members = {}
        for index, step in enumerate(pipeline.steps):
            place = f"{_STEPS}[{index}]"
            if isinstance(step.runs, ModelStep):
                members[step.name] = await self._model(step.runs, f"{place}.model")
            elif isinstance(step.runs, GraphStep):
                members[step.name] = await self._graph(declared, step, step.runs, place, skip_trial=skip_trial)
        return members

    async def _model(self, step: ModelStep, place: str) -> Member:
        model = await self._store.model(step.model)
        if model is None:
            raise model_not_found(step.model)
        ref = resolved(step, model)
        version = await self._store.version(ref)
        if version is None:
            raise writes.version_not_found(ref)
        lifecycle.check_kept(version)
        return compositions.member_of(version, place)

    async def _graph(self, declared: Version, step: Step, graph: GraphStep, place: str, *, skip_trial: bool) -> Member:
        artifact = next(one for one in declared.artifacts if one.name == graph.artifact)
        blob = await self._store.touch_blob(artifact.sha256, ArtifactType.ONNX, self._clock.now())
        if blob is None or blob.model_file is None:
            raise NotFound(
                f"'{artifact.name}': no onnx file with SHA-256 {artifact.sha256} is stored; upload it first",
                reason="ARTIFACT_NOT_UPLOADED",
            )
        trial = blob.model_file.trial
        if trial is not None and trial.problem and not skip_trial:
            violation = FieldViolation(f"{place}.graph", f"'{artifact.name}' does not run: {trial.problem}")
            refuse([violation], reason="MODEL_DOES_NOT_RUN")
        sized = replace(artifact, size_bytes=blob.size_bytes)
        return compositions.graph_member(declared, step.name, blob.model_file, sized, f"{place}.graph")

    async def _made(
        self, declared: Version, pipeline: Pipeline, flow: Flow, members: dict[str, Member]
    ) -> list[Artifact]:
        """Make and store the graphs of combiners; add what runs them to the members."""
        made = []
        for step in (step for level in levels(pipeline) for step in level):
            if isinstance(step.runs, Combiner):
                signature = flow.signatures[step.name]
                content = await asyncio.to_thread(combiners.graph_of, step.runs, signature)
                blob = await self._uploads.keep_own(content, compositions.file_of(signature))
                name = f"{step.name}{compositions.GENERATED}"
                artifact = Artifact(name, ArtifactType.ONNX, blob.sha256, blob.size_bytes)
                made.append(artifact)
                members[step.name] = compositions.combiner_member(declared, step.name, signature, artifact)
        return made

    async def _fused(self, pipeline: Pipeline, members: dict[str, Member], *, skip_trial: bool) -> Artifact:
        """Have one file made of all steps, and store it. Raises InvalidArgument, reason PIPELINE_NOT_FUSIBLE."""
        field, reason = f"{_FIELD}.pipeline", "PIPELINE_NOT_FUSIBLE"
        refuse(compositions.fusion_violations(pipeline, members, field), reason=reason)
        files = {step: next(a for a in one.artifacts if a.type is ArtifactType.ONNX) for step, one in members.items()}
        size_bytes = sum(artifact.size_bytes for artifact in files.values())
        self._uploads.check_size(size_bytes)
        signatures = {
            step.name: compositions.signature_of(members[step.name])
            for step in pipeline.steps
            if not isinstance(step.runs, Combiner)
        }
        async with self._turns.turn():
            with room(), tempfile.TemporaryDirectory(dir=self._directory) as name:
                paths = {step: Path(name, artifact.sha256) for step, artifact in files.items()}
                for artifact in {one.sha256: one for one in files.values()}.values():
                    await self._fetch(artifact, Path(name, artifact.sha256))
                request = FusionRequest(pipeline, signatures, paths, Path(name, compositions.FUSED))
                try:
                    await self._fuse(request, size_bytes)
                except NotFusible as error:
                    raise invalid(f"{field}.fuse", str(error), reason=reason) from None
                blob = await self._uploads.keep_made(request.made)
        trial = None if blob.model_file is None else blob.model_file.trial
        if trial is not None and trial.problem and not skip_trial:
            violation = FieldViolation(field, f"the fused model does not run: {trial.problem}")
            refuse([violation], reason="MODEL_DOES_NOT_RUN")
        return Artifact(compositions.FUSED, ArtifactType.ONNX, blob.sha256, blob.size_bytes)

    async def _fetch(self, artifact: Artifact, path: Path) -> None:
        with path.open("wb") as file:
            async for piece in recorded(self._blobs, artifact.sha256, artifact.name):
                await asyncio.to_thread(file.write, piece)


def resolved(step: ModelStep, model: Model) -> VersionRef:
    """Return the version that a step names by now. Raises NotFound."""
    version = step.version or (model.aliases.get(step.alias, "") if step.alias else model.production)
    if not version:
        what = f"no alias '{step.alias}'" if step.alias else "no version in production"
        reason = "ALIAS_NOT_FOUND" if step.alias else "VERSION_NOT_FOUND"
        raise NotFound(f"model '{step.model}' has {what}, which the pipeline names", reason=reason)
    return VersionRef(step.model, version)


async def lock_members(transaction: Transaction, version: Version) -> None:
    """Lock the models of a pipeline and of its members, in the order of names, and check that what was found still is.

    Raises Aborted, reason MEMBER_MOVED, and what is wrong with a member by now.
    """
    assert version.composition is not None
    named = {step.name: step.runs for step in version.composition.pipeline.steps if isinstance(step.runs, ModelStep)}
    models: dict[str, Model] = {}
    for name in sorted({version.ref.model, *(step.model for step in named.values())}):
        own = name == version.ref.model
        models[name] = await (writes.opened if own else writes.locked)(transaction, name)
    by_step: Mapping[str, Member] = version.composition.by_step
    for name, step in named.items():
        present = await writes.existing(transaction, resolved(step, models[step.model]))
        lifecycle.check_kept(present)
        if present.digest != by_step[name].digest:
            raise Aborted(f"{step} was moved while the pipeline was registered: try again", reason="MEMBER_MOVED")


async def hold_members(transaction: Transaction, version: Version, client: str, now: datetime) -> None:
    """Keep the members of a pipeline for as long as it is kept."""
    for ref in _held(version):
        why = f"a member of the pipeline {version.ref.model}@{version.ref.version}"
        await transaction.put_hold(Hold(ref, compositions.holder(version.ref), why, client, now, FOR_EVER))


async def release_members(transaction: Transaction, version: Version) -> None:
    """Give the members of a pipeline free whose files are given up."""
    for ref in _held(version):
        await transaction.delete_hold(ref, compositions.holder(version.ref))


def _held(version: Version) -> list[VersionRef]:
    return [member.ref for member in compositions.registered_members(version)]
