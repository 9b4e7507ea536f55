"""What Headrace is compared with, started and stopped here: an echo behind Envoy, Triton, Triton behind a gateway."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from headrace_servicekit.testing import free_port

from benchmarks.checkout import ROOT, BenchmarkError
from benchmarks.load.connection import WireError
from benchmarks.measures.processes import family, has_ended
from benchmarks.systems import gateway
from benchmarks.systems.gateway import Json

TRITON_MODEL = "recommender"
_READY_S = 60.0
_CONFIG = """
backend: "python"
max_batch_size: 32
input [ { name: "user_features" data_type: TYPE_FP32 dims: [ 128 ] },
        { name: "item_features" data_type: TYPE_FP32 dims: [ 64 ] } ]
output [ { name: "scores" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { %s }
"""


@dataclass(frozen=True, slots=True)
class Reference:
    """A running reference: where it is called, and its processes by name."""

    address: tuple[str, int]
    processes: dict[str, int]


@dataclass(frozen=True, slots=True)
class References:
    """All of them. They are idle while others are measured."""

    floor: Reference
    triton: Reference
    gateway: Reference


@contextlib.contextmanager
def running(scratch: Path, model: Path, jwks: Path, *, queue_delay_us: int = 0) -> Iterator[References]:
    """Start all references. queue_delay_us: Triton's wait for more requests; 0 for none."""
    with contextlib.ExitStack() as stack:
        echo = free_port()
        log = scratch / "echo.log"
        echo_pid = stack.enter_context(process(log, [sys.executable, "-m", "benchmarks.systems.echo", str(echo)]))
        until_listening(echo, log)
        server = stack.enter_context(triton(scratch, model, queue_delay_us=queue_delay_us))
        plain = stack.enter_context(envoy(scratch, "plain", partial(gateway.plain, upstream=echo)))
        guarded = stack.enter_context(
            envoy(scratch, "guarded", partial(gateway.guarded, upstream=server.address[1], jwks=jwks))
        )
        yield References(
            Reference(plain.address, {**plain.processes, "grpc.aio echo": echo_pid}),
            server,
            Reference(guarded.address, {**guarded.processes, **server.processes}),
        )


@contextlib.contextmanager
def triton(scratch: Path, model: Path, *, queue_delay_us: int = 0) -> Iterator[Reference]:
    """Run Triton with the model."""
    port, log = free_port(), scratch / "triton.log"
    repository = _repository(scratch / "triton", model, queue_delay_us)
    command = [
        ROOT / "deploy" / "triton" / "launch",
        f"--model-repository={repository}",
        f"--grpc-port={port}",
        "--allow-metrics=false",
        f"--load-model={TRITON_MODEL}",
    ]
    with process(log, command) as pid:
        until_listening(port, log)
        yield Reference(("127.0.0.1", port), {"triton": pid})


@contextlib.contextmanager
def envoy(scratch: Path, name: str, configured: Callable[[int], Json]) -> Iterator[Reference]:
    """Run Envoy on one thread. configured: makes its configuration, without an admin interface, of its port."""
    port = free_port()
    file, log = scratch / f"{name}.json", scratch / f"{name}.log"
    file.write_text(json.dumps(configured(port)))
    arguments = ["-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
    with process(log, [gateway.binary(), *arguments]) as pid:
        until_listening(port, log)
        yield Reference(("127.0.0.1", port), {"envoy": pid})


def _repository(root: Path, model: Path, queue_delay_us: int) -> Path:
    version = root / TRITON_MODEL / "1"
    version.mkdir(parents=True)
    shutil.copyfile(model, version / "model.onnx")
    shutil.copyfile(Path(__file__).with_name("triton_model.py"), version / "model.py")
    delay = f"max_queue_delay_microseconds: {queue_delay_us}" if queue_delay_us else ""
    (root / TRITON_MODEL / "config.pbtxt").write_text(_CONFIG % delay)
    return root


@contextlib.contextmanager
def process(log: Path, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run a command that writes to a log; yield its process id, and end it with all that it has started."""
    with log.open("wb") as output:
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield child.pid
    finally:
        started = _handles(family(child.pid)[1:])
        child.terminate()
        try:
            child.wait(timeout=15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for handle in started:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)


def _handles(pids: Sequence[int]) -> list[int]:
    """Return descriptors of processes, which stay theirs when a process id goes to another."""
    handles = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))
    return handles


def until_listening(port: int, log: Path) -> None:
    """Return when a port takes connections. Raises BenchmarkError with the log's end when it does not in time."""
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise BenchmarkError(f"a reference did not start:\n{log.read_text(errors='replace')[-2000:]}")


def until_answering(pid: int, log: Path, ask: Callable[[], object]) -> None:
    """Ask a process until it answers. Raises BenchmarkError with the log's end when it ends, or takes too long."""
    end = time.monotonic() + _READY_S
    while True:
        try:
            ask()
        except (BenchmarkError, WireError, OSError) as error:
            ended = has_ended(pid)
            if ended or time.monotonic() > end:
                what = "it ended before it answered" if ended else str(error)
                raise BenchmarkError(f"{what}\n{log.read_text(errors='replace')[-2000:]}") from error
            time.sleep(0.5)
        else:
            return
