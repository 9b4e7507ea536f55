"""What code costs: the handler of `examples/handler` as a `python` version and as an ONNX graph, in one batcher.

    .venv/bin/python -m benchmarks.code_versions [--seconds 3] [--rounds 3]

A batcher with ONNX Runtime in a process of its own; one caller keeps some requests of a row in flight at one version,
then at the other, in alternating rounds. CPU is that of the batcher and of the process that runs the code. Prints one
line of JSON a row; the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import uuid
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path

import numpy as np
import psutil
import uvloop
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import control_pb2
from headrace_servicekit.testing import free_port
from headrace_stack.components import s3
from headrace_stack.components.s3 import request
from headrace_stack.settings import StackSettings, checkout_of_this_file
from headrace_stack.testing import held_stack

from benchmarks.measures.figures import percentile
from examples.handler import graph
from tests.kit.batcher.process import process_of, until_listening
from tests.kit.batcher.service import BatcherRig, batcher_rig, put_blob
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.models import onnx_models
from tests.kit.router.fake_control import resolved_version
from tests.kit.stores.servers import S3Store, home_for_tests

IN_FLIGHT = (1, 32)
WARM_UP_S = 0.5


async def as_code(rig: BatcherRig, told: dict[str, object]) -> control_pb2.ResolvedVersion:
    """Store the handler as code; return its version."""
    files = {
        "model.py": (Path(graph.__file__).with_name("model.py").read_bytes(), registry_pb2.Artifact.TYPE_PYTHON),
        "weights.json": (json.dumps(told).encode(), registry_pb2.Artifact.TYPE_JSON),
    }
    artifacts = []
    for name, (content, kind) in files.items():
        blob = sha256(content).hexdigest()
        await put_blob(rig.s3, blob, content)
        artifacts.append(registry_pb2.Artifact(name=name, type=kind, sha256=blob, size_bytes=len(content)))
    version = resolved_version("code", "v1", artifacts=artifacts)
    version.format = registry_pb2.FORMAT_PYTHON
    version.contract.CopyFrom(graph.contract())
    return version


def cpu_s(pid: int) -> float:
    """Return what a process and its children have used of processors."""
    process = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


async def asked(
    client: BatcherClient, pid: int, digest: str, in_flight: int, seconds: float
) -> tuple[float, float, float, float]:
    """Return answers a second, p50 and p99 in ms, and CPU an answer in us."""
    draw = np.random.default_rng(2)
    row = [draw.normal(size=(1, size)).astype("<f4") for size in (graph.USER, graph.ITEM, graph.CONTEXT)]
    took: list[float] = []
    until = time.monotonic() + seconds

    async def keep_asking() -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            answer = await client.infer(digest, row)
            assert not answer.code, answer
            took.append(time.monotonic() - began)

    before = cpu_s(pid)
    await asyncio.gather(*(keep_asking() for _ in range(in_flight)))
    used = cpu_s(pid) - before
    ordered = sorted(took)
    return len(took) / seconds, percentile(ordered, 0.5) * 1e3, percentile(ordered, 0.99) * 1e3, used / len(took) * 1e6


async def measure(rig: BatcherRig, given: argparse.Namespace) -> None:
    """Print a row for each form and number of requests in flight."""
    told = graph.weights()
    model = onnx_models.TinyModel(graph.graph(told).SerializeToString(), graph.contract(), lambda _rows: {})
    forms = {"onnx": await rig.version("graph", model), "python": await as_code(rig, told)}
    rig.want(*forms.values())
    port = free_port()
    async with process_of(rig, rig.settings["state_dir"].parent / "log", port=port, allow_code=True) as process:
        await until_listening(port)
        async with BatcherClient.connected(f"127.0.0.1:{port}") as client:
            await client.until_ready(*(version.digest for version in forms.values()))
            for in_flight in IN_FLIGHT:
                rounds: dict[str, list[tuple[float, float, float, float]]] = {form: [] for form in forms}
                for _ in range(given.rounds):
                    for form, version in forms.items():
                        await asked(client, process.pid, version.digest, in_flight, WARM_UP_S)
                        rounds[form].append(await asked(client, process.pid, version.digest, in_flight, given.seconds))
                for form, seen in rounds.items():
                    per_s, p50, p99, cpu = (statistics.median(values) for values in zip(*seen, strict=True))
                    row = {"form": form, "in_flight": in_flight, "per_s": round(per_s), "p50_ms": round(p50, 2)}
                    print(json.dumps({**row, "p99_ms": round(p99, 2), "cpu_us": round(cpu)}))
        process.terminate()
        await process.wait()


async def run(settings: StackSettings, given: argparse.Namespace) -> None:
    """Measure with a bucket and a directory of its own."""
    keys = s3.keys(settings)
    bucket = f"bench-{uuid.uuid4().hex}"
    await request("PUT", settings.ports.s3, f"/{bucket}", keys=keys)
    store = S3Store(s3.endpoint(settings), keys.access_key, keys.secret_key, bucket)
    launch = checkout_of_this_file() / "deploy" / "triton" / "launch"
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        await measure(await stack.enter_async_context(batcher_rig(store, folder, "onnxruntime", launch)), given)
    await request("DELETE", settings.ports.s3, f"/{bucket}", keys=keys, timeout_s=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with (
        held_stack(home_for_tests("s3"), only=[s3.NAME]) as settings,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(run(settings, given))


if __name__ == "__main__":
    main()
