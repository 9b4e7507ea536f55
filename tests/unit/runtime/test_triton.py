"""What is said of a Triton that others run: whether it still has what was loaded into it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace_runtime.backends.backend import LoadError, ModelFiles
from headrace_runtime.backends.triton import TritonBackend
from headrace_runtime.backends.triton_repository import Repository
from headrace_servicekit.http2.channel import Channel
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.kit.batcher.scripted_backend import X_TO_Y

_pb: Any = service_pb2


class Server(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Has what it was told to load, as Triton does. refuses: what it does not load; unloading waits at the gate."""

    def __init__(self) -> None:
        self.models: set[str] = set()
        self.refuses: set[str] = set()
        self.unloading = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def ServerLive(self, request, context):
        return _pb.ServerLiveResponse(live=True)

    async def RepositoryIndex(self, request, context):
        return _pb.RepositoryIndexResponse(models=[{"name": name} for name in self.models])

    async def RepositoryModelLoad(self, request, context):
        self.models.discard(request.model_name)
        if request.model_name in self.refuses:
            await context.abort(grpc.StatusCode.INTERNAL, "no such luck")
        self.models.add(request.model_name)
        return _pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request, context):
        self.models.discard(request.model_name)
        self.unloading.set()
        await self.gate.wait()
        return _pb.RepositoryModelUnloadResponse()


class Scene:
    def __init__(self, server: Server, backend: TritonBackend, file: Path) -> None:
        self.server, self.backend = server, backend
        self._file = file

    async def load(self, *names: str) -> None:
        for name in names:
            await self.backend.load(ModelFiles(name, self._file, X_TO_Y, 8))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    server, listener = Server(), grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(server, listener)
    port = listener.add_insecure_port("127.0.0.1:0")
    await listener.start()
    (tmp_path / "file").write_bytes(b"a model")
    try:
        async with Channel(f"127.0.0.1:{port}", keepalive_s=None) as channel:
            repository = Repository(tmp_path / "models")
            backend = TritonBackend(channel, repository, execution_timeout_s=5, load_timeout_s=5)
            yield Scene(server, backend, tmp_path / "file")
    finally:
        await listener.stop(None)


async def test_what_a_triton_lost_is_missed_once(scene: Scene):
    await scene.load("a--v1", "b--v1")
    assert await scene.backend.holds_all()
    scene.server.models.clear()
    assert not await scene.backend.holds_all()
    assert await scene.backend.holds_all()
    await scene.load("a--v1")
    assert await scene.backend.holds_all()


async def test_a_version_that_does_not_load_again_is_not_missed(scene: Scene):
    await scene.load("a--v1", "b--v1")
    scene.server.refuses.add("a--v1")
    with pytest.raises(LoadError):
        await scene.load("a--v1")
    assert await scene.backend.holds_all()


async def test_a_version_that_is_being_unloaded_is_not_missed(scene: Scene):
    await scene.load("a--v1", "b--v1")
    scene.server.gate.clear()
    unloading = asyncio.create_task(scene.backend.unload("a--v1"))
    await scene.server.unloading.wait()
    assert await scene.backend.holds_all()
    scene.server.gate.set()
    await unloading
