"""A real Triton for tests that talk to one directly; the batcher starts its own with the same launcher."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from headrace_servicekit.testing import free_port, patience
from headrace_stack.settings import checkout_of_this_file
from headrace_stack.triton_environment import build
from tritonclient.grpc import service_pb2, service_pb2_grpc

_START_S = 30.0
_pb: Any = service_pb2  # generated without type stubs


@dataclass(frozen=True, slots=True)
class Triton:
    """A running Triton: `repository` is the folder that it loads models from when told to."""

    address: str
    repository: Path
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def triton_command() -> Path:
    """What BATCHER_TRITON_COMMAND is set to: a program that becomes tritonserver and takes its options."""
    build(checkout_of_this_file())
    return checkout_of_this_file() / "deploy" / "triton" / "launch"


@pytest.fixture
def triton(triton_command: Path, tmp_path: Path) -> Iterator[Triton]:
    """An empty Triton of this test alone."""
    with running_triton(triton_command, tmp_path) as triton:
        yield triton


@contextmanager
def running_triton(command: Path, directory: Path, *options: str) -> Iterator[Triton]:
    """Run an empty Triton that keeps its models and its log in `directory`. options: further ones of tritonserver."""
    repository = directory / "models"
    repository.mkdir()
    port = free_port()
    arguments = [command, f"--model-repository={repository}", f"--grpc-port={port}", "--allow-metrics=false", *options]
    with (directory / "triton.log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, process_group=0)
    address = f"127.0.0.1:{port}"
    try:
        until_live(address, within=_START_S)
        yield Triton(address, repository, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):  # of a Triton that was killed, processes of Python models stay
            os.killpg(process.pid, signal.SIGKILL)


def until_live(address: str, *, within: float) -> None:
    """Return when a server of the Open Inference Protocol answers.

    By a call that waits: `channel_ready_future` watches the channel in a thread that outlives it, and that ends with an
    error in the middle of another test when the channel is closed meanwhile.
    """
    # Connections of its own: a port that was tried in vain a moment ago is not left alone for seconds.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
    with grpc.insecure_channel(address, options=options) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        stub.ServerLive(_pb.ServerLiveRequest(), timeout=patience(within), wait_for_ready=True)
