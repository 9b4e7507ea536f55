"""A registry that a test holds in its hand: enough of RegistryService for its clients, without gates or storage.

What a registry promises is tested on the real one; this only lets a client be tested without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import grpc
from headrace.registry.v1 import registry_pb2 as pb
from headrace.registry.v1 import registry_pb2_grpc
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import NotFound

Version = pb.ModelVersion

IMAGE_CONTRACT = tensor_pb2.ServingContract(
    inputs=[tensor_pb2.TensorSpec(name="image", datatype="FP32", shape=[4])],
    outputs=[tensor_pb2.TensorSpec(name="label", datatype="INT64")],
    prediction="label",
    task=tensor_pb2.ServingContract.TASK_CLASSIFICATION,
)


class FakeRegistry(registry_pb2_grpc.RegistryServiceServicer):
    """RegistryService on dictionaries. requests: every write as it arrived. uploads: bytes by SHA-256."""

    def __init__(self) -> None:
        self.models: dict[str, pb.Model] = {}
        self.versions: dict[str, dict[str, pb.ModelVersion]] = {}
        self.events: dict[str, list[pb.ModelEvent]] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[Any] = []
        self.holds: dict[tuple[str, str], pb.Hold] = {}

    def add_to(self, server: grpc.Server) -> None:
        """Offer RegistryService on a server."""
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(self, server)

    def put(self, model: str, version: str, *, production: bool = False) -> None:
        """Add a version that takes images of four pixels."""
        found = self.models.setdefault(model, pb.Model(name=f"models/{model}", epoch=1, etag="etag-1"))
        stored = pb.ModelVersion(
            name=f"models/{model}/versions/{version}",
            stage=Version.STAGE_PRODUCTION if production else Version.STAGE_REGISTERED,
            metrics=[pb.Metric(name="accuracy", value=0.95, source=pb.Metric.SOURCE_REPORTED)],
            contract=IMAGE_CONTRACT,
            digest="d" * 64,
            created_by="developer",
        )
        self.versions.setdefault(model, {})[version] = stored
        if production:
            found.production_version = version

    def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        names = sorted(self.models)
        start = int(request.page_token or 0)
        page = names[start : start + request.page_size]
        following = start + len(page)
        return pb.ListModelsResponse(
            models=[self.models[name] for name in page],
            next_page_token=str(following) if following < len(names) else "",
        )

    def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        return pb.GetModelResponse(model=self._model(request.name))

    def UpdateModel(self, request: pb.UpdateModelRequest, context: Any) -> pb.UpdateModelResponse:
        self.requests.append(request)
        stored = self._model(request.model.name)
        stored.CopyFrom(request.model)
        return pb.UpdateModelResponse(model=stored)

    def GetModelVersion(self, request: pb.GetModelVersionRequest, context: Any) -> pb.GetModelVersionResponse:
        return pb.GetModelVersionResponse(version=self._version(request.name))

    def ListModelVersions(self, request: pb.ListModelVersionsRequest, context: Any) -> pb.ListModelVersionsResponse:
        versions = self.versions[_part(request.parent, 1)]
        return pb.ListModelVersionsResponse(versions=list(reversed(versions.values())))

    def UploadArtifact(
        self, request_iterator: Iterator[pb.UploadArtifactRequest], context: Any
    ) -> pb.UploadArtifactResponse:
        header = next(request_iterator).header
        self.requests.append(header)
        content = b"".join(message.chunk for message in request_iterator)
        sha256 = hashlib.sha256(content).hexdigest()
        self.uploads[sha256] = content
        return pb.UploadArtifactResponse(sha256=sha256, size_bytes=len(content))

    def DownloadArtifact(
        self, request: pb.DownloadArtifactRequest, context: Any
    ) -> Iterator[pb.DownloadArtifactResponse]:
        found = next(one for one in self._version(request.name).artifacts if one.name == request.artifact)
        yield pb.DownloadArtifactResponse(chunk=self.uploads[found.sha256])

    def UploadCode(self, request: pb.UploadCodeRequest, context: Any) -> pb.UploadCodeResponse:
        self.requests.append(request)
        sha256 = hashlib.sha256(request.content).hexdigest()
        self.uploads[sha256] = request.content
        return pb.UploadCodeResponse(sha256=sha256, size_bytes=len(request.content))

    def CreateModelVersion(self, request: pb.CreateModelVersionRequest, context: Any) -> pb.CreateModelVersionResponse:
        self.requests.append(request)
        model, version = _part(request.version.name, 1), _part(request.version.name, 3)
        self.put(model, version)
        stored = self.versions[model][version]
        stored.MergeFrom(request.version)
        return pb.CreateModelVersionResponse(version=stored)

    def PromoteModelVersion(
        self, request: pb.PromoteModelVersionRequest, context: Any
    ) -> pb.PromoteModelVersionResponse:
        self.requests.append(request)
        version, model = self._version(request.name), self._model(request.name)
        version.stage = request.target_stage
        if request.target_stage == Version.STAGE_PRODUCTION:
            model.production_version = _part(request.name, 3)
        self._record(model, pb.ModelEvent.ACTION_STAGE_CHANGED, _part(request.name, 3), request.reason)
        return pb.PromoteModelVersionResponse(version=version, model=model)

    def RollbackModel(self, request: pb.RollbackModelRequest, context: Any) -> pb.RollbackModelResponse:
        self.requests.append(request)
        model = self._model(request.name)
        earlier = next(iter(self.versions[_part(request.name, 1)]))
        model.production_version = earlier
        self._record(model, pb.ModelEvent.ACTION_ROLLED_BACK, earlier, request.reason)
        return pb.RollbackModelResponse(version=self.versions[_part(request.name, 1)][earlier], model=model)

    def SetAlias(self, request: pb.SetAliasRequest, context: Any) -> pb.SetAliasResponse:
        self.requests.append(request)
        model = self._model(request.name)
        model.aliases[_part(request.name, 3)] = request.version
        return pb.SetAliasResponse(model=model)

    def DeleteAlias(self, request: pb.DeleteAliasRequest, context: Any) -> pb.DeleteAliasResponse:
        self.requests.append(request)
        model = self._model(request.name)
        model.aliases.pop(_part(request.name, 3), None)
        return pb.DeleteAliasResponse(model=model)

    def ListModelEvents(self, request: pb.ListModelEventsRequest, context: Any) -> pb.ListModelEventsResponse:
        events = self.events.get(_part(request.parent, 1), [])
        return pb.ListModelEventsResponse(events=list(reversed(events))[: request.page_size])

    def GetModelAsOf(self, request: pb.GetModelAsOfRequest, context: Any) -> pb.GetModelAsOfResponse:
        self.requests.append(request)
        model = self._model(request.name)
        event = pb.ModelEvent(version=model.production_version, client="developer", reason="better")
        stages = {name: version.stage for name, version in self.versions[_part(request.name, 1)].items()}
        return pb.GetModelAsOfResponse(
            epoch=1, production_version=model.production_version, production_event=event, stages=stages
        )

    def ListMeasurements(self, request: pb.ListMeasurementsRequest, context: Any) -> pb.ListMeasurementsResponse:
        self._version(request.parent)
        metric = pb.Metric(name="latency_p99_ms", value=3.5, source=pb.Metric.SOURCE_MEASURED)
        return pb.ListMeasurementsResponse(measurements=[pb.Measurement(metric=metric, source_process="batcher/a")])

    def HoldVersion(self, request: pb.HoldVersionRequest, context: Any) -> pb.HoldVersionResponse:
        self.requests.append(request)
        self._version(request.name)
        hold = pb.Hold(name=request.name, holder=request.holder, reason=request.reason, client="developer")
        self.holds[request.name, request.holder] = hold
        return pb.HoldVersionResponse(hold=hold)

    def ReleaseHold(self, request: pb.ReleaseHoldRequest, context: Any) -> pb.ReleaseHoldResponse:
        self.requests.append(request)
        self.holds.pop((request.name, request.holder), None)
        return pb.ReleaseHoldResponse()

    def ListHolds(self, request: pb.ListHoldsRequest, context: Any) -> pb.ListHoldsResponse:
        self._model(request.parent)
        return pb.ListHoldsResponse(
            holds=[hold for (name, _), hold in self.holds.items() if name.startswith(request.parent)]
        )

    def DeleteModel(self, request: pb.DeleteModelRequest, context: Any) -> pb.DeleteModelResponse:
        self.requests.append(request)
        del self.models[_part(self._model(request.name).name, 1)]
        return pb.DeleteModelResponse()

    def _record(self, model: pb.Model, action: pb.ModelEvent.Action, version: str, reason: str) -> None:
        model.epoch += 1
        event = pb.ModelEvent(epoch=model.epoch, action=action, version=version, reason=reason, client="developer")
        self.events.setdefault(_part(model.name, 1), []).append(event)

    def _model(self, name: str) -> pb.Model:
        model = _part(name, 1)
        if model not in self.models:
            raise NotFound(f"model '{model}' not found", reason="MODEL_NOT_FOUND", metadata={"model": model})
        return self.models[model]

    def _version(self, name: str) -> pb.ModelVersion:
        self._model(name)
        version = self.versions[_part(name, 1)].get(_part(name, 3))
        if version is None:
            raise NotFound(f"version '{_part(name, 3)}' not found", reason="VERSION_NOT_FOUND")
        return version


def _part(name: str, index: int) -> str:
    return name.split("/")[index]
