"""A real MLServer for tests: a server that loads its models itself, run by somebody else than the batcher."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from headrace_servicekit.testing import free_port
from headrace_stack.foreign_environments import build
from headrace_stack.settings import checkout_of_this_file
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.kit.models.triton import until_live

_START_S = 60.0
_RUNTIME = checkout_of_this_file() / "deploy" / "mlserver"
_pb: Any = service_pb2  # generated without type stubs


class MLServer:
    """A running MLServer, and who runs it: models are put there by its own means, which the batcher does not use."""

    def __init__(self, directory: Path) -> None:
        self.repository = directory / "models"
        self.repository.mkdir()
        self._log = directory / "mlserver.log"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Return where its gRPC is."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it with the models that are in its folder, and return when it answers."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(_RUNTIME),
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_GRPC_PORT": str(self._port),
            "MLSERVER_HTTP_PORT": str(free_port()),
            "MLSERVER_METRICS_PORT": str(free_port()),
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_DEBUG": "false",
        }
        program = build(checkout_of_this_file(), "mlserver") / "bin" / "mlserver"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, "start", self.repository], env=environment, cwd=self.repository, stdout=log, stderr=log
            )
        until_live(self.address, within=_START_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its process."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, and return when it has ended."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def write(self, name: str, model: bytes, version: str = "") -> None:
        """Put a model into its folder."""
        folder = self.repository / name / version
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "model.onnx"
        path.write_bytes(model)
        settings = {
            "name": name,
            "implementation": "onnx_model.OnnxModel",
            "parameters": {"uri": str(path), **({"version": version} if version else {})},
        }
        (folder / "model-settings.json").write_text(json.dumps(settings))

    async def provide(self, name: str, model: bytes) -> None:
        """Put a model into its folder and have it loaded."""
        await asyncio.to_thread(self.write, name, model)
        await self._tell("RepositoryModelLoad", _pb.RepositoryModelLoadRequest(model_name=name))

    async def withdraw(self, name: str) -> None:
        """Have a model unloaded."""
        await self._tell("RepositoryModelUnload", _pb.RepositoryModelUnloadRequest(model_name=name))

    async def _tell(self, method: str, request: Any) -> None:
        async with grpc.aio.insecure_channel(self.address) as channel:
            await getattr(service_pb2_grpc.GRPCInferenceServiceStub(channel), method)(request, timeout=20)


@contextmanager
def running_mlserver(directory: Path) -> Iterator[MLServer]:
    """Run an MLServer without models that keeps those it gets, and its log, in `directory`."""
    server = MLServer(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLServer]:
    """An MLServer of a module: a test that ends it starts it again."""
    with running_mlserver(tmp_path_factory.mktemp("mlserver")) as server:
        yield server
