"""A real Triton for tests that talk to one directly; the batcher starts its own with the same launcher."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from headrace_servicekit.testing import free_port
from headrace_stack.settings import checkout_of_this_file
from headrace_stack.triton_environment import build

_START_S = 30.0


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
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=_START_S)
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
