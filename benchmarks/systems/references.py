"""What Headrace is compared with, started and stopped here: an echo behind Envoy, Triton, Triton behind a gateway."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace_servicekit.testing import free_port

from benchmarks.checkout import ROOT, BenchmarkError
from benchmarks.systems import gateway

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

        def start(name: str, command: Sequence[str | Path]) -> int:
            return stack.enter_context(process(scratch / f"{name}.log", command))

        echo, triton, plain, guarded = (free_port() for _ in range(4))
        echo_pid = start("echo", [sys.executable, "-m", "benchmarks.systems.echo", str(echo)])
        repository = _repository(scratch / "triton", model, queue_delay_us)
        triton_pid = start(
            "triton",
            [
                ROOT / "deploy" / "triton" / "launch",
                f"--model-repository={repository}",
                f"--grpc-port={triton}",
                "--allow-metrics=false",
                f"--load-model={TRITON_MODEL}",
            ],
        )
        envoy = gateway.binary(jwks)
        front = {
            "plain": gateway.plain(plain, free_port(), echo),
            "guarded": gateway.guarded(guarded, free_port(), triton, jwks),
        }
        pids = {}
        for name, configuration in front.items():
            file = scratch / f"{name}.json"
            file.write_text(json.dumps(configuration))
            arguments = ["-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
            pids[name] = start(name, [envoy, *arguments])
        for name, port in (("echo", echo), ("triton", triton), ("plain", plain), ("guarded", guarded)):
            until_listening(port, scratch / f"{name}.log")
        yield References(
            Reference(("127.0.0.1", plain), {"envoy": pids["plain"], "grpc.aio echo": echo_pid}),
            Reference(("127.0.0.1", triton), {"triton": triton_pid}),
            Reference(("127.0.0.1", guarded), {"envoy": pids["guarded"], "triton": triton_pid}),
        )


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
    """Run a command that writes to a log; yield its process id, and end it."""
    with log.open("wb") as output:
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(timeout=15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def until_listening(port: int, log: Path) -> None:
    """Return when a port takes connections. Raises BenchmarkError with the log's end when it does not in time."""
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise BenchmarkError(f"a reference did not start:\n{log.read_text(errors='replace')[-2000:]}")
