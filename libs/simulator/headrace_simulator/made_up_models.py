"""Models that are made up, as what answers: loaded from a model repository, of which only `config.pbtxt` is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from tritonclient.grpc import model_config_pb2, service_pb2

from headrace_simulator.backend import SERVICE, Refused, unknown, unloaded
from headrace_simulator.decisions import made_up
from headrace_simulator.decisions.latency import Latency, seconds
from headrace_simulator.decisions.made_up import MadeUpModel, WrongRequest

_pb: Any = service_pb2  # generated without type stubs
_config_pb: Any = model_config_pb2

_MAX_CONFIG_BYTES = 1024 * 1024
_HEALTH = "/grpc.health.v1.Health/Check"
_EXTENSIONS = ("model_repository", "model_configuration", "statistics")


class _LoadedModel:
    """A model, its places to execute, and what ModelStatistics says of it."""

    def __init__(self, model: MadeUpModel) -> None:
        self.model = model
        self.places = asyncio.Semaphore(model.instances)
        self.executions, self.rows, self.failures = 0, 0, 0
        self.queue_ns, self.compute_ns = 0, 0


class MadeUpModels:
    """Loads and answers for made-up models. latency, seed: of executions, of which each instance has one at a time."""

    def __init__(self, repository: Path | None, latency: Latency, seed: int) -> None:
        self._repository, self._latency, self._seed = repository, latency, seed
        self._models: dict[str, _LoadedModel] = {}
        self._unloaded: set[str] = set()
        self._calls: dict[str, Callable[[bytes], Awaitable[Any]]] = {
            _HEALTH: self._health,
            **{
                f"/{SERVICE}/{name}": method
                for name, method in {
                    "ServerLive": self._server_live,
                    "ServerReady": self._server_ready,
                    "ServerMetadata": self._server_metadata,
                    "ModelReady": self._model_ready,
                    "ModelMetadata": self._model_metadata,
                    "ModelConfig": self._model_config,
                    "ModelStatistics": self._model_statistics,
                    "RepositoryIndex": self._repository_index,
                    "RepositoryModelLoad": self._load,
                    "RepositoryModelUnload": self._unload,
                    "ModelInfer": self._infer,
                }.items()
            },
        }

    async def call(self, path: str, request: bytes, timeout_s: float | None) -> bytes:
        """Return the answer to a call. Raises Refused."""
        method = self._calls.get(path)
        if method is None:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, f"made-up models have no {path.rsplit('/', 1)[-1]}")
        try:
            return (await method(request)).SerializeToString()
        except DecodeError:
            raise Refused(grpc.StatusCode.INTERNAL, "the request is no message of the protocol") from None

    async def stream(self, path: str, requests: AsyncIterator[bytes], timeout_s: float | None) -> AsyncIterator[bytes]:
        """Yield one answer to each request of ModelStreamInfer, in their order."""
        async for request in requests:
            try:
                answer = _pb.ModelStreamInferResponse(infer_response=await self._infer(request))
            except Refused as error:
                answer = _pb.ModelStreamInferResponse(error_message=error.details)
            yield answer.SerializeToString()

    async def load_all(self) -> None:
        """Load whatever the repository has, as Triton does without explicit control."""
        if self._repository is not None:
            for folder in await asyncio.to_thread(lambda root: sorted(root.glob("*/config.pbtxt")), self._repository):
                await self._load_model(folder.parent.name)

    async def _health(self, _request: bytes) -> Any:
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    async def _server_live(self, _request: bytes) -> Any:
        return _pb.ServerLiveResponse(live=True)

    async def _server_ready(self, _request: bytes) -> Any:
        return _pb.ServerReadyResponse(ready=True)

    async def _server_metadata(self, _request: bytes) -> Any:
        return _pb.ServerMetadataResponse(name="headrace-simulator", version="2", extensions=_EXTENSIONS)

    async def _model_ready(self, request: bytes) -> Any:
        return _pb.ModelReadyResponse(ready=_pb.ModelReadyRequest.FromString(request).name in self._models)

    async def _model_metadata(self, request: bytes) -> Any:
        return made_up.metadata(self._loaded(_pb.ModelMetadataRequest.FromString(request).name).model)

    async def _model_config(self, request: bytes) -> Any:
        found = self._loaded(_pb.ModelConfigRequest.FromString(request).name)
        return _pb.ModelConfigResponse(config=found.model.config)

    async def _model_statistics(self, request: bytes) -> Any:
        name = _pb.ModelStatisticsRequest.FromString(request).name
        answer = _pb.ModelStatisticsResponse()
        for one in [self._loaded(name)] if name else self._models.values():
            statistics = answer.model_stats.add(
                name=one.model.name, version="1", inference_count=one.rows, execution_count=one.executions
            )
            statistics.inference_stats.success.count = one.executions
            statistics.inference_stats.success.ns = one.queue_ns + one.compute_ns
            statistics.inference_stats.fail.count = one.failures
            statistics.inference_stats.queue.count, statistics.inference_stats.queue.ns = one.executions, one.queue_ns
            statistics.inference_stats.compute_infer.count = one.executions
            statistics.inference_stats.compute_infer.ns = one.compute_ns
        return answer

    async def _repository_index(self, request: bytes) -> Any:
        answer = _pb.RepositoryIndexResponse()
        for name in self._models:
            answer.models.add(name=name, version="1", state="READY")
        if not _pb.RepositoryIndexRequest.FromString(request).ready:
            for name in self._unloaded:
                answer.models.add(name=name, version="1", state="UNAVAILABLE", reason="unloaded")
        return answer

    async def _load(self, request: bytes) -> Any:
        asked = _pb.RepositoryModelLoadRequest.FromString(request)
        if asked.parameters:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "parameters: made-up models are loaded from their folder")
        await self._load_model(asked.model_name)
        return _pb.RepositoryModelLoadResponse()

    async def _load_model(self, name: str) -> None:
        # The name comes from outside: it must stay within the repository.
        is_name = name not in ("", ".", "..") and "/" not in name and "\0" not in name
        config = await asyncio.to_thread(self._read, name) if is_name else None
        if config is None:
            raise Refused(grpc.StatusCode.INTERNAL, f"failed to load '{name}', failed to poll from model repository")
        self._models[name] = _LoadedModel(made_up.model_of(config))
        self._unloaded.discard(name)

    def _read(self, name: str) -> Any | None:
        """Return the configuration of a model, None where there is none that can be read."""
        if self._repository is None:
            return None
        config = _config_pb.ModelConfig()
        try:
            with (self._repository / name / "config.pbtxt").open("rb") as file:
                text_format.Parse(file.read(_MAX_CONFIG_BYTES).decode(), config)
        except (OSError, ValueError, text_format.ParseError):
            return None
        config.name = config.name or name
        return config if config.name == name else None

    async def _unload(self, request: bytes) -> Any:
        name = _pb.RepositoryModelUnloadRequest.FromString(request).model_name
        if self._models.pop(name, None) is not None:
            self._unloaded.add(name)
        return _pb.RepositoryModelUnloadResponse()

    async def _infer(self, request: bytes) -> Any:
        asked = _pb.ModelInferRequest.FromString(request)
        one = self._loaded(asked.model_name)
        arrived = time.monotonic_ns()
        async with one.places:
            began = time.monotonic_ns()
            one.executions += 1
            try:
                answer = made_up.answer(one.model, asked)
            except WrongRequest as error:
                one.failures += 1
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
            rows = made_up.rows_of(asked)
            takes_s = seconds(self._latency, rows, self._seed, one.executions)
            if takes_s:
                await asyncio.sleep(takes_s)
            one.rows += rows
            one.queue_ns += began - arrived
            one.compute_ns += time.monotonic_ns() - began
            return answer

    def _loaded(self, name: str) -> _LoadedModel:
        found = self._models.get(name)
        if found is None:
            raise unloaded(name) if name in self._unloaded else unknown(name)
        return found
