"""A registry for tests: the whole service in this process on a free port, over memory (fast) or over real stores.

async with memory_registry() as registry:
    await registry.register("digits", "v1", onnx_models.linear(64, 10))
    await registry.promote("digits", "v1")
    ... start what watches it with registry.target ...
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from headrace.registry.v1 import pipeline_pb2, registry_pb2, registry_pb2_grpc
from headrace_registry import service
from headrace_registry.artifacts import onnx_check, trial_check
from headrace_registry.artifacts.blobs import Blobs, MemoryBlobs
from headrace_registry.artifacts.content import Inspection
from headrace_registry.artifacts.fusion import fuse_here
from headrace_registry.artifacts.trial_check import Request
from headrace_registry.decisions.files import ModelFile, Trial
from headrace_registry.settings import RegistrySettings
from headrace_registry.storage.store import Store
from headrace_servicekit import client
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.testing import running

from tests.kit.models.onnx_models import TinyModel, linear
from tests.kit.registry.memory_store import MemoryStore
from tests.kit.stores.servers import S3Store

GOOD_METRICS: Mapping[str, float] = {"accuracy": 0.95, "latency_p99_ms": 4.0}

CHUNK_BYTES = 256 * 1024

Stage = registry_pb2.ModelVersion.Stage


@dataclass(slots=True)
class Registry:
    """A running registry and what tests do with it. stub: of RegistryService, as an internal caller."""

    target: str
    stub: Any
    runtime: Runtime[RegistrySettings]

    async def upload(
        self,
        content: bytes,
        kind: registry_pb2.Artifact.Type = registry_pb2.Artifact.TYPE_ONNX,
        *,
        told: bool = True,
        metadata: Any = None,
    ) -> str:
        """Upload a file and return its SHA-256; told: whether the header says digest and size."""
        messages = upload_messages(content, kind, told=told)
        answer = await self.stub.UploadArtifact(messages, timeout=60, metadata=metadata)
        return answer.sha256

    async def register(
        self,
        model: str,
        version: str,
        file: TinyModel | None = None,
        *,
        metrics: Mapping[str, float] = GOOD_METRICS,
        files: Iterable[registry_pb2.Artifact] = (),
        metadata: Any = None,
        **fields: Any,
    ) -> registry_pb2.ModelVersion:
        """Upload a model file (`linear()` unless told) and register it; fields are those of ModelVersion."""
        file = file or linear()
        sha256 = await self.upload(file.content, metadata=metadata)
        draft = version_message(model, version, sha256, file, metrics=metrics, files=files, **fields)
        request = registry_pb2.CreateModelVersionRequest(version=draft)
        answer = await self.stub.CreateModelVersion(request, timeout=20, metadata=metadata)
        return answer.version

    async def compose(
        self,
        model: str,
        version: str,
        pipeline: pipeline_pb2.Pipeline,
        graphs: Mapping[str, TinyModel] | None = None,
        *,
        metrics: Mapping[str, float] = GOOD_METRICS,
        **fields: Any,
    ) -> registry_pb2.ModelVersion:
        """Register a pipeline. graphs: its ONNX artifacts, by name."""
        artifacts = [
            registry_pb2.Artifact(
                name=name, type=registry_pb2.Artifact.TYPE_ONNX, sha256=await self.upload(file.content)
            )
            for name, file in (graphs or {}).items()
        ]
        draft = registry_pb2.ModelVersion(
            name=f"models/{model}/versions/{version}",
            pipeline=pipeline,
            artifacts=artifacts,
            metrics=[registry_pb2.Metric(name=name, value=value) for name, value in metrics.items()],
            **fields,
        )
        request = registry_pb2.CreateModelVersionRequest(version=draft)
        return (await self.stub.CreateModelVersion(request, timeout=20)).version

    async def promote(
        self,
        model: str,
        version: str,
        stage: Stage = registry_pb2.ModelVersion.STAGE_PRODUCTION,
        *,
        metadata: Any = None,
        **fields: Any,
    ) -> registry_pb2.PromoteModelVersionResponse:
        """Move a version to a stage; fields are those of PromoteModelVersionRequest."""
        request = registry_pb2.PromoteModelVersionRequest(
            name=f"models/{model}/versions/{version}", target_stage=stage, **fields
        )
        return await self.stub.PromoteModelVersion(request, timeout=20, metadata=metadata)

    async def rollback(self, model: str, **fields: Any) -> registry_pb2.RollbackModelResponse:
        """Go back to the production version before."""
        request = registry_pb2.RollbackModelRequest(name=f"models/{model}", **fields)
        return await self.stub.RollbackModel(request, timeout=20)

    async def model(self, model: str) -> registry_pb2.Model:
        """Return a model."""
        answer = await self.stub.GetModel(registry_pb2.GetModelRequest(name=f"models/{model}"), timeout=20)
        return answer.model

    async def events(self, model: str) -> list[registry_pb2.ModelEvent]:
        """Return a model's history, the newest first."""
        request = registry_pb2.ListModelEventsRequest(parent=f"models/{model}", page_size=1000)
        return list((await self.stub.ListModelEvents(request, timeout=20)).events)


def caller(client_id: str, *models: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call that came through the front door; no patterns means all models."""
    who = (CLIENT_HEADER, client_id)
    return ((who, (MODELS_HEADER, ",".join(models)))) if models else (who,)


async def upload_messages(
    content: bytes, kind: registry_pb2.Artifact.Type = registry_pb2.Artifact.TYPE_ONNX, *, told: bool = True
) -> AsyncIterator[registry_pb2.UploadArtifactRequest]:
    """Yield the messages of an upload: the header, then chunks."""
    header = registry_pb2.UploadArtifactRequest.Header(type=kind)
    if told:
        header.sha256, header.size_bytes = hashlib.sha256(content).hexdigest(), len(content)
    yield registry_pb2.UploadArtifactRequest(header=header)
    for start in range(0, len(content), CHUNK_BYTES):
        yield registry_pb2.UploadArtifactRequest(chunk=content[start : start + CHUNK_BYTES])


def version_message(
    model: str,
    version: str,
    sha256: str,
    file: TinyModel,
    *,
    metrics: Mapping[str, float] = GOOD_METRICS,
    files: Iterable[registry_pb2.Artifact] = (),
    **fields: Any,
) -> registry_pb2.ModelVersion:
    """Return a version as a caller declares it, with the contract of the file unless `contract` is among the fields."""
    onnx = registry_pb2.Artifact(name="model.onnx", type=registry_pb2.Artifact.TYPE_ONNX, sha256=sha256)
    values: dict[str, Any] = {"contract": file.contract, **fields}
    return registry_pb2.ModelVersion(
        name=f"models/{model}/versions/{version}",
        artifacts=[onnx, *files],
        metrics=[registry_pb2.Metric(name=name, value=value) for name, value in metrics.items()],
        **values,
    )


@asynccontextmanager
async def memory_registry(
    store: Store | None = None, blobs: Blobs | None = None, *, port: int = 0, **settings: Any
) -> AsyncIterator[Registry]:
    """Run a registry over memory, or over the given stores; settings are fields of RegistrySettings."""

    async def start(runtime: Runtime[RegistrySettings]) -> None:
        service.serve(
            runtime, store or MemoryStore(), blobs or MemoryBlobs(), Inspection(_read_here), _try_here, fuse_here
        )

    told = {"database_url": "postgresql://nobody@127.0.0.1:1/none", "s3_endpoint": "http://127.0.0.1:1", **settings}
    async with _running(_settings(port=port, **told), start) as registry:
        yield registry


@asynccontextmanager
async def real_registry(
    postgres_url: str, s3: S3Store, folder: Path, *, port: int = 0, **settings: Any
) -> AsyncIterator[Registry]:
    """Run a registry over PostgreSQL and S3. folder: for its credentials file."""
    made = real_settings(postgres_url, s3, folder, port=port, **settings)
    async with _running(made, service.start) as registry:
        yield registry


def real_settings(postgres_url: str, s3: S3Store, folder: Path, **settings: Any) -> RegistrySettings:
    """Return the settings of a registry over PostgreSQL and S3."""
    credentials = folder / "s3.credentials"
    credentials.touch(0o600)
    credentials.write_text(
        f"[default]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n", encoding="utf-8"
    )
    return _settings(
        database_url=postgres_url,
        s3_endpoint=s3.endpoint,
        s3_bucket=s3.bucket,
        s3_region=s3.region,
        s3_credentials_file=credentials,
        **settings,
    )


def _settings(**values: Any) -> RegistrySettings:
    return RegistrySettings(**{"drain_notice_s": 0.0, "grace_s": 2.0, **values})


@asynccontextmanager
async def _running(settings: RegistrySettings, start: Any) -> AsyncIterator[Registry]:
    async with running("registry", settings, start) as runtime:
        target = runtime.servers[0].address
        async with client.channel(target) as channel:
            yield Registry(target, registry_pb2_grpc.RegistryServiceStub(channel), runtime)


async def _read_here(file: Path, _size_bytes: int) -> ModelFile:
    """Read an ONNX file in this process: what tests build needs no limits, and a child takes half a second."""
    return onnx_check.read(str(file))


async def _try_here(request: Request, _size_bytes: int) -> Trial | None:
    """Try a model in this process, likewise."""
    return trial_check.try_out(request)


def as_json(message: Any) -> dict[str, Any]:
    """Return a message as plain data, for assertions that show what differs."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


__all__ = [
    "GOOD_METRICS",
    "Registry",
    "Stage",
    "as_json",
    "caller",
    "memory_registry",
    "real_registry",
    "real_settings",
    "upload_messages",
    "version_message",
]
