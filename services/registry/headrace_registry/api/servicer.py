"""The RPCs of RegistryService: convert, call, convert."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.identity import identity
from headrace_servicekit.loops import until
from headrace_servicekit.resource_names import invalid

from headrace_registry.api import answers, convert
from headrace_registry.api.requests import model_query, write_of
from headrace_registry.artifacts.downloads import Downloads
from headrace_registry.artifacts.format_policy import FormatPolicy
from headrace_registry.artifacts.signed_uploads import StagedUploads
from headrace_registry.artifacts.trials import Trials
from headrace_registry.artifacts.uploads import MAX_CHUNK_BYTES, Uploads
from headrace_registry.catalog.composition import Composing
from headrace_registry.catalog.measurements import Measurements, measured_by
from headrace_registry.catalog.pages import PageRequest, fit
from headrace_registry.catalog.reads import Catalog
from headrace_registry.catalog.registration import Registrations
from headrace_registry.catalog.serving_settings import ServingUpdates
from headrace_registry.decisions import names, tokens
from headrace_registry.decisions.files import Blob
from headrace_registry.decisions.models import ModelState, VersionRef
from headrace_registry.metrics import Metrics
from headrace_registry.promotion import holds
from headrace_registry.promotion.holds import Holds
from headrace_registry.promotion.promotions import Promotions, RolloutRule


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    """RegistryService over its use cases. stopping: ends the watches."""

    def __init__(
        self,
        catalog: Catalog,
        registrations: Registrations,
        trials: Trials,
        promotions: Promotions,
        serving: ServingUpdates,
        holds: Holds,
        policy: FormatPolicy,
        measuring: Measurements,
        composing: Composing,
        uploads: Uploads,
        staged: StagedUploads,
        downloads: Downloads,
        feed: ChangeFeed[ModelState],
        metrics: Metrics,
        stopping: asyncio.Event,
    ) -> None:
        self._catalog, self._registrations, self._trials = catalog, registrations, trials
        self._promotions, self._policy = promotions, policy
        self._serving, self._downloads = serving, downloads
        self._holds, self._measuring, self._composing = holds, measuring, composing
        self._uploads, self._staged, self._feed = uploads, staged, feed
        self._metrics, self._stopping = metrics, stopping

    async def CreateModel(self, request, context):
        declared = convert.declared_model(request.model)
        outcome = await self._registrations.create_model(declared, write_of("CreateModel", request))
        return registry_pb2.CreateModelResponse(model=answers.to_model(outcome.model))

    async def GetModel(self, request, context):
        model = await self._catalog.model(names.model_id(request.name, "name"))
        return registry_pb2.GetModelResponse(model=answers.to_model(model))

    async def ListModels(self, request, context):
        page = await self._catalog.models(
            PageRequest(request.page_size, request.page_token), identity().sees, model_query(request)
        )
        models, token = fit(page, answers.to_model)
        return registry_pb2.ListModelsResponse(models=models, next_page_token=token)

    async def UpdateModel(self, request, context):
        declared = convert.declared_model(request.model)
        write = write_of("UpdateModel", request)
        outcome = await self._registrations.update_model(declared, request.model.etag, write)
        return registry_pb2.UpdateModelResponse(model=answers.to_model(outcome.model))

    async def DeleteModel(self, request, context):
        model = names.model_id(request.name, "name")
        write = write_of("DeleteModel", request)
        await self._registrations.delete_model(model, request.etag, write, with_route=request.with_route)
        return registry_pb2.DeleteModelResponse()

    async def GetModelAsOf(self, request, context):
        model, time = names.model_id(request.name, "name"), convert.time(request, "time")
        return answers.to_as_of(await self._catalog.as_of(model, time))

    async def UploadArtifact(self, request_iterator, context):
        blob = await self._received(request_iterator, as_code=False)
        return registry_pb2.UploadArtifactResponse(sha256=blob.sha256, size_bytes=blob.size_bytes)

    async def UploadCode(self, request, context):
        header = convert.uploaded_code(request)
        self._policy.check_upload(header.type, as_code=True)
        with self._metrics.upload(header.type):
            blob = await self._uploads.receive(header, _pieces(request.content))
        self._metrics.stored(blob.size_bytes)
        return registry_pb2.UploadCodeResponse(sha256=blob.sha256, size_bytes=blob.size_bytes)

    async def StreamCode(self, request_iterator, context):
        blob = await self._received(request_iterator, as_code=True)
        return registry_pb2.StreamCodeResponse(sha256=blob.sha256, size_bytes=blob.size_bytes)

    async def BeginUpload(self, request, context):
        header = convert.begun_upload(request)
        self._policy.check_upload(header.type, as_code=False)
        return answers.to_begun(await self._staged.begin(header, identity()))

    async def CompleteUpload(self, request, context):
        upload = names.upload_id(request.name, "name")
        blob = await self._staged.complete(upload, identity().client)
        self._metrics.stored(blob.size_bytes)
        return registry_pb2.CompleteUploadResponse(sha256=blob.sha256, size_bytes=blob.size_bytes)

    async def CreateModelVersion(self, request, context):
        declared = convert.declared_version(request.version, may_measure=identity().internal)
        await self._policy.check(declared)
        declared = await self._composing.complete(declared, skip_trial=request.skip_trial)
        trial = None if request.skip_trial else await self._trials.of(declared)
        outcome = await self._registrations.create_version(declared, write_of("CreateModelVersion", request), trial)
        return registry_pb2.CreateModelVersionResponse(version=answers.to_version(outcome.subject))

    async def GetModelVersion(self, request, context):
        version = await self._catalog.version(names.version_ref(request.name, "name"))
        return registry_pb2.GetModelVersionResponse(version=answers.to_version(version))

    async def DownloadArtifact(self, request, context):
        version = await self._catalog.version(names.version_ref(request.name, "name"))
        async with aclosing(self._downloads.pieces(version, request.artifact)) as pieces:
            async for piece in pieces:
                yield registry_pb2.DownloadArtifactResponse(chunk=piece)

    async def GetModelOpenApi(self, request, context):
        model = await self._catalog.model(names.model_id(request.name, "name"))
        version = await self._catalog.version(convert.described_version(model, request.version))
        return answers.to_openapi(version)

    async def UpdateServingSettings(self, request, context):
        ref, declared = names.version_ref(request.name, "name"), convert.declared_serving(request.serving, "serving")
        write = write_of("UpdateServingSettings", request)
        outcome = await self._serving.update(ref, declared, request.etag, write)
        return registry_pb2.UpdateServingSettingsResponse(
            version=answers.to_version(outcome.subject), model=answers.to_model(outcome.model)
        )

    async def ListModelVersions(self, request, context):
        model, stage = names.model_id(request.parent, "parent"), convert.stage_filter(request.stage)
        page = await self._catalog.versions(model, stage, PageRequest(request.page_size, request.page_token))
        versions, token = fit(page, answers.to_version)
        return registry_pb2.ListModelVersionsResponse(versions=versions, next_page_token=token)

    async def PromoteModelVersion(self, request, context):
        ref, target = names.version_ref(request.name, "name"), convert.target_stage(request.target_stage)
        write, allowed = write_of("PromoteModelVersion", request), request.allow_incompatible_signature
        rollouts = convert.rollout_rule(request, internal=identity().internal)
        with self._metrics.move(target):
            outcome = await self._promotions.promote(
                ref,
                target,
                request.etag,
                write,
                allow_incompatible=allowed,
                rollouts=rollouts,
            )
        return registry_pb2.PromoteModelVersionResponse(
            version=answers.to_version(outcome.subject), model=answers.to_model(outcome.model)
        )

    async def RollbackModel(self, request, context):
        model, write = names.model_id(request.name, "name"), write_of("RollbackModel", request)
        with self._metrics.rollback():
            outcome = await self._promotions.roll_back(model, request.etag, write, RolloutRule(end=request.end_rollout))
        return registry_pb2.RollbackModelResponse(
            version=answers.to_version(outcome.subject), model=answers.to_model(outcome.model)
        )

    async def SetAlias(self, request, context):
        model, alias = names.alias_ref(request.name, "name")
        ref = VersionRef(model, names.version_id(request.version, "version"))
        outcome = await self._registrations.set_alias(ref, alias, request.etag, write_of("SetAlias", request))
        return registry_pb2.SetAliasResponse(model=answers.to_model(outcome.model))

    async def DeleteAlias(self, request, context):
        model, alias = names.alias_ref(request.name, "name")
        write = write_of("DeleteAlias", request)
        outcome = await self._registrations.delete_alias(model, alias, request.etag, write)
        return registry_pb2.DeleteAliasResponse(model=answers.to_model(outcome.model))

    async def ListModelEvents(self, request, context):
        model = names.model_id(request.parent, "parent")
        page = await self._catalog.events(model, PageRequest(request.page_size, request.page_token))
        events, token = fit(page, answers.to_event)
        return registry_pb2.ListModelEventsResponse(events=events, next_page_token=token)

    async def HoldVersion(self, request, context):
        ref, who = names.version_ref(request.name, "name"), identity()
        holder = holds.holder(request.holder, internal=who.internal)
        ttl = convert.duration(request.ttl, "ttl")
        hold = await self._holds.hold(ref, holder, ttl, request.reason, who.client)
        return registry_pb2.HoldVersionResponse(hold=answers.to_hold(hold))

    async def ReleaseHold(self, request, context):
        ref = names.version_ref(request.name, "name")
        await self._holds.release(ref, holds.holder(request.holder, internal=identity().internal))
        return registry_pb2.ReleaseHoldResponse()

    async def ListHolds(self, request, context):
        model = names.model_id(request.parent, "parent")
        page = await self._catalog.holds(model, PageRequest(request.page_size, request.page_token))
        holds, token = fit(page, answers.to_hold)
        return registry_pb2.ListHoldsResponse(holds=holds, next_page_token=token)

    async def ListMeasurements(self, request, context):
        ref = names.version_ref(request.parent, "parent")
        page = await self._catalog.measurements(ref, PageRequest(request.page_size, request.page_token))
        measurements, token = fit(page, answers.to_measurement)
        return registry_pb2.ListMeasurementsResponse(measurements=measurements, next_page_token=token)

    async def RecordMeasuredMetrics(self, request, context):
        ref, metrics = names.version_ref(request.name, "name"), convert.measured(request.metrics)
        source = measured_by(request.source_process, identity())
        version = await self._measuring.record(ref, request.digest, metrics, source)
        return registry_pb2.RecordMeasuredMetricsResponse(version=answers.to_version(version))

    async def ReportPools(self, request, context):
        await self._promotions.report_pools(convert.reported_pools(request))
        return registry_pb2.ReportPoolsResponse()

    async def WatchModels(self, request, context):
        resume, caller = tokens.watch_position(request.resume_token, "resume_token"), identity()

        def sees(state: ModelState) -> bool:
            return caller.sees(state.model.name)

        seen = self._feed.watch(resume, sees)
        # A resumed watch may have nothing to say for hours; its client should know now that it is being served.
        await context.send_initial_metadata(())
        ended_by_drain: Any = until(self._stopping, seen)
        async with aclosing(ended_by_drain) as messages:
            async for message in messages:
                yield answers.to_change(message)
        raise Unavailable("the registry is stopping: resume elsewhere", reason="STOPPING", retry_after_s=0.1)

    async def _received(self, messages, *, as_code: bool) -> Blob:
        """Return what a stream of a header and pieces has brought. Raises InvalidArgument, PreconditionFailed."""
        header = convert.upload_header(await self._uploads.awaited(messages))
        self._policy.check_upload(header.type, as_code=as_code, field="header.type")
        with self._metrics.upload(header.type):
            blob = await self._uploads.receive(header, _chunks(messages))
        self._metrics.stored(blob.size_bytes)
        return blob


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), MAX_CHUNK_BYTES):
        yield content[at : at + MAX_CHUNK_BYTES]


async def _chunks(messages) -> AsyncIterator[bytes]:
    async for message in messages:
        if message.WhichOneof("part") != "chunk":
            raise invalid("chunk", "every message after the first carries a chunk")
        yield message.chunk
