"""What a request costs in the batcher: closed-loop frames through Exchange, one row of 64 floats per request.

    .venv/bin/python -m benchmarks.batcher_frames [triton|cheapest|onnxruntime] [--in-flight 64] [--per-frame 8]

`cheapest` is Triton, and before it what executes a version in process where that is cheaper. The batcher runs in a
process of its own, without S3 and control plane: model files come from a folder. Prints requests per second, requests
per execution, and CPU microseconds per request of the batcher, of Triton and of this generator.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import psutil
import uvloop
from headrace.batcher.v1 import batcher_pb2, batcher_pb2_grpc
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.version_state import Wanted
from headrace_batcher.in_process.backend import cheapest
from headrace_batcher.loading.versions import Versions
from headrace_batcher.roster import Roster
from headrace_batcher.servicer import BatcherServicer
from headrace_runtime.artifacts.cache import BlobCache
from headrace_runtime.backends.backend import USUAL_BUDGET
from headrace_runtime.backends.onnx import OnnxBackend
from headrace_runtime.backends.triton import TritonBackend
from headrace_runtime.backends.triton_process import TritonProcess
from headrace_runtime.backends.triton_repository import Repository
from headrace_runtime.contract import from_proto
from headrace_servicekit.http2.channel import Channel
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.server import Server
from headrace_servicekit.testing import eventually, free_port

from benchmarks.checkout import ROOT
from tests.kit.models.onnx_models import linear

LAUNCH = ROOT / "deploy" / "triton" / "launch"
FEATURES = 64


class FolderBlobs:
    """Blobs from a folder, named by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        yield await asyncio.to_thread((self._folder / sha256).read_bytes)


async def serve(kind: str, state: Path) -> None:
    """Be the batcher until killed; the port is the first line of output."""
    set_up_logs("batcher")
    model = linear(FEATURES, 1)
    sha = await asyncio.to_thread(_store, state, model.content)
    roster = Roster()
    async with (
        backend_of(kind, state) as (backend, keep),
        cheapest_of(kind, backend, state) as (backend, became_ready, run),
    ):
        cache = BlobCache(state / "cache", FolderBlobs(state), max_bytes=0, fetch_timeout_s=10)
        versions = Versions(backend, roster, cache, unload_after_s=1, changed=lambda: None, became_ready=became_ready)
        versions.want([Wanted("bench", "v1", "digest", sha, from_proto(model.contract), Limits())])
        server = Server(access_log=False, on_the_loop=True)
        BatcherServicer(roster, "bench", max_message_bytes=1 << 24).serve_on(server)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(versions.run())
            tasks.create_task(keep(versions))
            tasks.create_task(run())
            await eventually(lambda: any(state.ready for state in roster.states()), within=60)
            await server.start()
            sys.stdout.write(f"{server.port}\n")
            sys.stdout.flush()


@asynccontextmanager
async def backend_of(kind: str, state: Path) -> AsyncIterator[tuple[Any, Any]]:
    """Yield a backend, and what keeps it running and tells a watcher."""
    if kind == "onnxruntime":
        async with OnnxBackend(threads=1) as backend:

            async def up(watcher: Versions) -> None:
                watcher.backend_up()

            yield backend, up
        return
    port, repository = free_port(), Repository(state / "models")
    repository.clear()
    async with Channel(f"127.0.0.1:{port}") as channel:
        backend = TritonBackend(channel, repository, execution_timeout_s=10, load_timeout_s=60)
        command = (str(LAUNCH), f"--model-repository={repository.root}", f"--grpc-port={port}", "--allow-metrics=false")
        yield backend, lambda watcher: TritonProcess(command, backend.ready).run(watcher)


@asynccontextmanager
async def cheapest_of(kind: str, backend: Any, state: Path) -> AsyncIterator[tuple[Any, Any, Any]]:
    """Yield what executes versions where they are cheapest, what it is called with, and what runs it, where asked."""
    if kind != "cheapest":
        yield backend, lambda held: None, asyncio.Event().wait
        return

    async def fit(file_bytes: int) -> str:
        return ""

    async with cheapest(
        backend,
        state / "in-process",
        threads=1,
        budget=USUAL_BUDGET,
        anyway=False,
        unfit=fit,
        changed=lambda: None,
        then=lambda held: None,
    ) as before:
        yield before, before.became_ready, before.run


async def load(port: int, in_flight: int, per_frame: int, seconds: float) -> dict[str, float]:
    """Keep `in_flight` requests open in frames of `per_frame`; return what was seen."""
    row = np.ones(FEATURES, dtype=np.float32).tobytes()
    answered = executions = 0
    latencies: list[float] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = batcher_pb2_grpc.BatcherServiceStub(channel).Exchange()
        first = await call.read()
        handle, sent, number = first.versions[0].handle, {}, 0
        ready, end = in_flight, time.monotonic() + seconds
        while time.monotonic() < end:
            while ready > 0:
                frame, now = batcher_pb2.ExchangeRequest(), time.monotonic()
                for _ in range(min(ready, per_frame)):
                    number += 1
                    sent[number] = now
                    frame.requests.add(id=number, version=handle, rows=1, inputs=[row], deadline_us=10_000_000)
                ready -= len(frame.requests)
                await call.write(frame)
            answer, now = await call.read(), time.monotonic()
            for response in answer.responses:
                if response.code:
                    sys.exit(f"{response.reason}: {response.message}")
                latencies.append(now - sent.pop(response.id))
                executions += 1 / response.batch_requests
            ready += len(answer.responses)
            answered += len(answer.responses)
        call.cancel()
    return {
        "requests_per_s": round(answered / seconds),
        "requests_per_execution": round(answered / executions, 1),
        "p50_ms": round(float(np.percentile(latencies, 50)) * 1000, 2),
        "p99_ms": round(float(np.percentile(latencies, 99)) * 1000, 2),
        "answered": answered,
    }


async def measure(kind: str, in_flight: int, per_frame: int, seconds: float) -> None:
    """Run a batcher and load it; print one line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.batcher_frames",
            kind,
            "--serve",
            folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            port = int(await process.stdout.readline())
            await load(port, in_flight, per_frame, 1.0)
            before, mine = _cpu(process.pid), time.process_time()
            seen = await load(port, in_flight, per_frame, seconds)
            after, mine = _cpu(process.pid), time.process_time() - mine
        finally:
            process.terminate()
            await process.wait()
    answered = seen.pop("answered")
    cpu = {f"{name}_us": round((after[name] - before[name]) * 1e6 / answered, 1) for name in after}
    settings = {"backend": kind, "in_flight": in_flight, "per_frame": per_frame}
    print(json.dumps({**settings, **seen, **cpu, "generator_us": round(mine * 1e6 / answered, 1)}))


def _store(folder: Path, content: bytes) -> str:
    import hashlib

    sha = hashlib.sha256(content).hexdigest()
    (folder / sha).write_bytes(content)
    return sha


def _cpu(pid: int) -> dict[str, float]:
    """Return CPU seconds so far of the batcher and of all its children."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    children = [child.cpu_times() for child in process.children(recursive=True)]
    return {"batcher": own.user + own.system, "triton": sum(child.user + child.system for child in children)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backend", choices=["triton", "cheapest", "onnxruntime"], nargs="?", default="triton")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--per-frame", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    job = (
        serve(given.backend, given.serve)
        if given.serve
        else measure(given.backend, given.in_flight, given.per_frame, given.seconds)
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(job)


if __name__ == "__main__":
    main()
